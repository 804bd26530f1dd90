"""Small generated data sets in the standard layouts."""
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import cv2
import numpy as np


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
