"""Small generated data sets in the standard layouts."""
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import cv2
import numpy as np

from dicenet_mm.evaluation import save_mask


def scene(index, size=(96, 72), boxes=2):
    """An image (H, W, 3) with bright rectangles on noise, and their boxes [x1, y1, x2, y2]."""
    rng = np.random.default_rng(index)
    width, height = size
    image = rng.integers(0, 60, (height, width, 3), dtype=np.uint8)
    out = []
    for _ in range(boxes):
        x, y = int(rng.integers(0, width // 2)), int(rng.integers(0, height // 2))
        w, h = int(rng.integers(16, width // 2)), int(rng.integers(16, height // 2))
        image[y:y + h, x:x + w] = rng.integers(120, 256, 3)
        out.append([x, y, x + w, y + h])
    return image, out


def make_voc(root, splits, years=('VOC2007',), classes=('person', 'car')):
    """A VOCdevkit: ``splits`` maps the name of a list to its number of images."""
    for year in years:
        base = Path(root, year)
        for folder in ('JPEGImages', 'Annotations', 'ImageSets/Main'):
            (base / folder).mkdir(parents=True, exist_ok=True)
        first = 0
        for split, count in splits.items():
            names = [f'{index:06d}' for index in range(first, first + count)]
            first += count
            (base / f'ImageSets/Main/{split}.txt').write_text('\n'.join(names) + '\n')
            for name in names:
                image, boxes = scene(int(name))
                cv2.imwrite(str(base / f'JPEGImages/{name}.jpg'), image)
                top = ET.Element('annotation')
                size = ET.SubElement(top, 'size')
                for tag, value in zip(('height', 'width', 'depth'), image.shape):
                    ET.SubElement(size, tag).text = str(value)
                for number, box in enumerate(boxes):
                    thing = ET.SubElement(top, 'object')
                    ET.SubElement(thing, 'name').text = classes[number % len(classes)]
                    ET.SubElement(thing, 'difficult').text = '0'
                    corners = ET.SubElement(thing, 'bndbox')
                    for tag, value in zip(('xmin', 'ymin', 'xmax', 'ymax'), box):
                        ET.SubElement(corners, tag).text = str(value + 1)
                ET.ElementTree(top).write(base / f'Annotations/{name}.xml')
    return Path(root)


def make_coco(root, splits, classes=('person', 'car')):
    """A COCO folder: ``splits`` maps a split such as ``train2017`` to its number of images."""
    first = 0
    for split, count in splits.items():
        folder = Path(root, split)
        folder.mkdir(parents=True, exist_ok=True)
        Path(root, 'annotations').mkdir(exist_ok=True)
        images, annotations = [], []
        for index in range(first, first + count):
            image, boxes = scene(index)
            cv2.imwrite(str(folder / f'{index:012d}.jpg'), image)
            images.append(dict(id=index, file_name=f'{index:012d}.jpg', height=image.shape[0], width=image.shape[1]))
            for number, (x1, y1, x2, y2) in enumerate(boxes):
                annotations.append(dict(id=len(annotations) + 1, image_id=index, category_id=number % len(classes) + 1,
                                        bbox=[x1, y1, x2 - x1, y2 - y1], area=(x2 - x1) * (y2 - y1), iscrowd=0))
        first += count
        categories = [dict(id=number + 1, name=name) for number, name in enumerate(classes)]
        Path(root, 'annotations', f'instances_{split}.json').write_text(
            json.dumps(dict(images=images, annotations=annotations, categories=categories)))
    return Path(root)


def class_mask(index, size=(96, 72), classes=3):
    """A mask (H, W) of rectangles of classes from 1, where :func:`scene` has its boxes; 255 along the upper rim."""
    _, boxes = scene(index, size)
    mask = np.zeros(size[::-1], np.uint8)
    for number, (x1, y1, x2, y2) in enumerate(boxes):
        mask[y1:y2, x1:x2] = 1 + (index + number) % (classes - 1)
    mask[:2] = 255
    return mask


def make_pairs(images, masks, names, size=(96, 72), suffix='.jpg', mask_suffix='.png', classes=3):
    """Folders of images and of their masks, palette PNGs."""
    images, masks = Path(images), Path(masks)
    for folder in (images, masks):
        folder.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(names):
        cv2.imwrite(str(images / f'{name}{suffix}'), scene(index, size)[0])
        save_mask(class_mask(index, size, classes), [(0, 0, 0), (200, 0, 0), (0, 200, 0)], masks / f'{name}{mask_suffix}')


def make_voc_masks(root, splits):
    """VOC's layout for segmentation: ``splits`` maps the name of a list to the names of its images."""
    root = Path(root)
    make_pairs(root / 'JPEGImages', root / 'SegmentationClass', [name for names in splits.values() for name in names])
    (root / 'ImageSets/Segmentation').mkdir(parents=True)
    for split, names in splits.items():
        (root / f'ImageSets/Segmentation/{split}.txt').write_text(''.join(f'{name}\n' for name in names))
    return root


def make_folders(root, classes):
    """Class folders: ``classes`` maps a name to its number of images, each class of a colour of its own."""
    for label, (name, count) in enumerate(classes.items()):
        folder = Path(root, name)
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(count):
            image, _ = scene(index)
            image[..., label % 3] = 255 - 40 * (label // 3 % 6)
            cv2.imwrite(str(folder / f'{index}.jpg'), image)
    return Path(root)
