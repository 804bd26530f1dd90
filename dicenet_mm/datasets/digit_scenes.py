"""DigitScenes: a built-in data set for detection, segmentation and multi-label classification.

Real handwritten digits (the 1797 of scikit-learn's ``load_digits``) pasted onto real photographs (its two
``load_sample_images``), so nothing is downloaded. The first use writes the scenes, in VOC and COCO layout:

    <root>/600-150-320x240-seed0-v2/
        VOC2007/JPEGImages/000001.jpg ...
        VOC2007/Annotations/000001.xml ...          boxes and image labels, pixels counted from 1
        VOC2007/ImageSets/Main/{trainval,test}.txt
        VOC2007/ImageSets/Segmentation/{train,val}.txt
        VOC2007/SegmentationClass/000001.png ...    palette; 0 background, 1 zero ... 10 nine; 255 unused
        annotations/instances_{train,val}.json      COCO; the same images, masks as RLE

A mask holds the pixels where the digit is at least half opaque and no later digit covers it; boxes and
areas are those of the mask. A digit that would leave less than 60 % of an earlier one visible is not drawn,
so that everything drawn is annotated and nothing is marked difficult or crowd.

Train and val share neither digits (the first four fifths of the samples, the last fifth) nor background (the
upper 60 % of the photographs, the lower 40 %). The photographs are under CC BY 2.0, with their credits in
scikit-learn's ``datasets/images/README.txt``.
"""
import json
import os
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

import cv2
import numpy as np
from mmengine.registry import DATASETS
from PIL import Image
from pycocotools import mask as rle
from tqdm import tqdm

from .detection import CheckedCocoDataset

CLASSES = ('zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine')
PALETTE = [(230, 25, 75), (60, 180, 75), (255, 225, 25), (0, 130, 200), (245, 130, 48), (145, 30, 180),
           (70, 240, 240), (240, 50, 230), (210, 245, 60), (170, 110, 40)]
# Part of the folder's name: raise it whenever the same parameters would give other files.
VERSION = 2

MAX_DIGITS = 6
DIGIT_HEIGHT = (0.2, 0.5)  # of the image's shorter side
MAX_ROTATION = 25  # degrees; a six stays a six
MIN_VISIBLE = 0.6  # of a digit's pixels
MIN_SIDE = 96  # px of the image: the smallest digits, 20 % of it, are then just legible


def default_root():
    """The folder ``digit_scenes`` in ``$DICENET_MM_CACHE``, or else in ``~/.cache/dicenet_mm``.

    Returns:
        Path: the folder, which need not exist.
    """
    cache = os.environ.get('DICENET_MM_CACHE', '~/.cache/dicenet_mm')
    return Path(cache).expanduser() / 'digit_scenes'


def generate(root=None, train=600, val=150, size=(320, 240), seed=0):
    """Write the scenes below ``root``, or find them there.

    The same arguments and library versions give the same bytes. Image ``index`` of a split depends on the
    seed, the size, the split and ``index`` alone. The folder appears under its name only when it is complete,
    so an interrupted run leaves nothing that a later one would trust (a killed one, a hidden ``.building-*``
    folder to delete), and two processes may generate at once.

    Args:
        root (str or Path, optional): parent of the scenes' folder. Default: :func:`default_root`.
        train (int): number of training images, numbered from 1.
        val (int): number of validation images, numbered on from those.
        size (tuple[int, int]): width and height of every image, px, at least 96.
        seed (int): not negative.

    Returns:
        Path: the folder that holds ``VOC2007`` and ``annotations``.

    Raises:
        ValueError: an argument is out of range.
        OSError: ``root`` cannot be written.
    """
    width, height = size
    if min(train, val) < 1:
        raise ValueError(f'train and val need at least one image each, got train={train}, val={val}')
    if min(size) < MIN_SIDE:
        raise ValueError(f'size must be at least {MIN_SIDE} px each way, got {width}x{height}')
    if seed < 0:
        raise ValueError(f'seed must not be negative, got {seed}')
    root = default_root() if root is None else Path(root)
    folder = root / f'{train}-{val}-{width}x{height}-seed{seed}-v{VERSION}'
    if folder.is_dir():
        return folder
    try:
        root.mkdir(parents=True, exist_ok=True)
        building = tempfile.TemporaryDirectory(dir=root, prefix='.building-')
    except OSError as error:
        raise OSError(f"cannot write DigitScenes below '{root}' ({error.strerror}): pass another root or set "
                      'DICENET_MM_CACHE to a folder that can be written') from error
    with building:
        built = Path(building.name) / folder.name
        for part in ('annotations', 'VOC2007/JPEGImages', 'VOC2007/Annotations', 'VOC2007/SegmentationClass',
                     'VOC2007/ImageSets/Main', 'VOC2007/ImageSets/Segmentation'):
            (built / part).mkdir(parents=True)
        _write_split(built, 'train', range(1, train + 1), size, seed)
        _write_split(built, 'val', range(train + 1, train + val + 1), size, seed)
        try:
            built.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was first, with the same files
                raise
    return folder


def sample_images(count=6):
    """A few pictures to try a model on.

    Args:
        count (int): how many, at least 1.

    Returns:
        list[Path]: the first images of the validation split, which are the same for any number of training images.
    """
    return sorted(generate(train=1, val=count).glob('VOC2007/JPEGImages/*.jpg'))[1:]


def load_split(split):
    """What the images of one split are made of.

    Args:
        split (str): 'train' or 'val'.

    Returns:
        tuple[list[PIL.Image.Image], np.ndarray, np.ndarray]: parts of the photographs (RGB); digits
        (N, 8, 8), float32, from 0, paper, to 1, ink; their values (N,), int.
    """
    # Imported here since scikit-learn is slow to import and needed only where nothing is cached.
    from sklearn.datasets import load_digits, load_sample_images
    digits = load_digits()
    first_val = len(digits.target) * 4 // 5
    samples = slice(None, first_val) if split == 'train' else slice(first_val, None)
    photographs = []
    for pixels in load_sample_images().images:
        first_val = len(pixels) * 3 // 5
        rows = slice(None, first_val) if split == 'train' else slice(first_val, None)
        photographs.append(Image.fromarray(pixels[rows]))
    return photographs, digits.images[samples].astype(np.float32) / 16, digits.target[samples]


def draw_scene(photographs, digits, values, size, rng):
    """Draw one scene.

    Args:
        photographs, digits, values: as :func:`load_split` returns them.
        size (tuple[int, int]): width and height, px.
        rng (np.random.Generator): source of every choice.

    Returns:
        tuple[np.ndarray, list[int], np.ndarray]: image (H, W, 3), uint8, RGB; the value of each digit, in the
        order of drawing; their visible pixels (K, H, W), bool, disjoint, with K from 1 to 6.
    """
    canvas = _background(photographs[rng.integers(len(photographs))], size, rng)
    labels, visible, full_areas = [], [], []
    for _ in range(rng.integers(1, MAX_DIGITS + 1)):
        value = int(rng.integers(10))
        digit = digits[rng.choice(np.flatnonzero(values == value))]
        digit_height = min(size) * np.exp(rng.uniform(*np.log(DIGIT_HEIGHT)))
        opacity = _stroke(digit, digit_height, rng.uniform(-MAX_ROTATION, MAX_ROTATION))
        ink = opacity >= 0.5
        y, x = (rng.integers(whole - part + 1) for whole, part in zip(canvas.shape, ink.shape))
        window = np.s_[y:y + ink.shape[0], x:x + ink.shape[1]]
        if any(np.count_nonzero(mask) - np.count_nonzero(mask[window] & ink) < MIN_VISIBLE * full
               for mask, full in zip(visible, full_areas)):
            continue
        for mask in visible:
            mask[window] &= ~ink
        colour = _contrasting_colour(canvas[window][ink][::8], rng)
        canvas[window] += opacity[..., None] * (colour - canvas[window])
        labels.append(value)
        visible.append(np.zeros(canvas.shape[:2], bool))
        visible[-1][window] = ink
        full_areas.append(np.count_nonzero(ink))
    return canvas.round().astype(np.uint8), labels, np.stack(visible)


def _background(photograph, size, rng):
    """A random crop, scaled and perhaps mirrored: (H, W, 3), float32."""
    scale = rng.uniform(0.5, 1) * min(photograph.width / size[0], photograph.height / size[1])
    width, height = size[0] * scale, size[1] * scale
    x, y = rng.uniform(0, photograph.width - width), rng.uniform(0, photograph.height - height)
    crop = photograph.resize(size, Image.Resampling.BICUBIC, box=(x, y, x + width, y + height))
    if rng.random() < 0.5:
        crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.asarray(crop, np.float32)


def _stroke(digit, height, angle):
    """Opacity (h, w) of a digit (8, 8), ``height`` px tall, turned by ``angle`` degrees, cut to its mask."""
    pixel = height / len(digit)
    ink = np.pad(digit, 2)  # or strokes at the rim would be cut
    ink = 2 * ink - cv2.GaussianBlur(ink, (0, 0), 1)  # sharpened, which keeps the holes of 0, 6, 8 and 9 open
    side = round(pixel * len(ink))
    ink = Image.fromarray(ink).resize((side, side), Image.Resampling.BICUBIC)
    ink = np.asarray(ink.rotate(angle, Image.Resampling.BILINEAR, expand=True))
    # Ink rises from 0 to 1 over about one pixel of the original: this slope makes the edge one pixel wide.
    opacity = np.clip(0.5 + (ink - 0.5) * pixel, 0, 1)
    rows, columns = np.nonzero(opacity >= 0.5)
    return opacity[rows.min():rows.max() + 1, columns.min():columns.max() + 1]


def _contrasting_colour(pixels, rng):
    """Of eight random colours the one that stands out best from nearly all of ``pixels`` (N, 3)."""
    colours = rng.uniform(0, 255, (8, 1, 3)).astype(np.float32)
    distances = np.linalg.norm(colours - pixels, axis=2)
    return colours[np.quantile(distances, 0.1, axis=1).argmax(), 0]


def _write_split(folder, split, image_ids, size, seed):
    """Write images, VOC and COCO annotations of one split."""
    voc = folder / 'VOC2007'
    sources = load_split(split)
    images, annotations = [], []
    # the built-in data set takes half a minute, and on a busy machine several times that
    shown = tqdm(image_ids, desc=f'making DigitScenes ({split})', unit='scene', disable=len(image_ids) < 100,
                 mininterval=0.5 if sys.stderr.isatty() else 30)
    for index, image_id in enumerate(shown):
        rng = np.random.default_rng([seed, ('train', 'val').index(split), index])
        image, labels, masks = draw_scene(*sources, size, rng)
        name = f'{image_id:06d}'
        images.append(dict(id=image_id, file_name=f'{name}.jpg', width=size[0], height=size[1]))
        instances = []
        for label, mask in zip(labels, masks):
            encoded = rle.encode(np.asfortranarray(mask, np.uint8))
            instances.append(dict(
                id=len(annotations) + len(instances) + 1, image_id=image_id, category_id=label + 1, iscrowd=0,
                bbox=rle.toBbox(encoded).astype(int).tolist(), area=int(rle.area(encoded)),
                segmentation=dict(size=encoded['size'], counts=encoded['counts'].decode())))
        annotations += instances
        Image.fromarray(image).save(voc / f'JPEGImages/{name}.jpg', quality=95)
        _class_map(labels, masks).save(voc / f'SegmentationClass/{name}.png')
        _voc_annotation(images[-1], instances).write(voc / f'Annotations/{name}.xml')
    names = ''.join(f'{image_id:06d}\n' for image_id in image_ids)
    (voc / 'ImageSets/Main' / dict(train='trainval.txt', val='test.txt')[split]).write_text(names)
    (voc / f'ImageSets/Segmentation/{split}.txt').write_text(names)
    categories = [dict(id=value + 1, name=name, supercategory='digit') for value, name in enumerate(CLASSES)]
    content = dict(info=dict(description='DigitScenes', version=str(VERSION)), images=images,
                   annotations=annotations, categories=categories)
    (folder / f'annotations/instances_{split}.json').write_text(json.dumps(content))


def _class_map(labels, masks):
    """Class of every pixel as a palette image: 0 background, 1 zero ... 10 nine."""
    classes = np.zeros(masks.shape[1:], np.uint8)
    for label, mask in zip(labels, masks):
        classes[mask] = label + 1
    image = Image.fromarray(classes)
    image.putpalette([0, 0, 0] + [level for colour in PALETTE for level in colour])
    return image


def _voc_annotation(image, instances):
    """The VOC annotation of one image, from its COCO entries."""
    root = ET.Element('annotation')
    ET.SubElement(root, 'folder').text = 'VOC2007'
    ET.SubElement(root, 'filename').text = image['file_name']
    shape = ET.SubElement(root, 'size')
    for key, value in (('width', image['width']), ('height', image['height']), ('depth', 3)):
        ET.SubElement(shape, key).text = str(value)
    ET.SubElement(root, 'segmented').text = '1'
    for instance in instances:
        entry = ET.SubElement(root, 'object')
        ET.SubElement(entry, 'name').text = CLASSES[instance['category_id'] - 1]
        ET.SubElement(entry, 'difficult').text = '0'
        box = ET.SubElement(entry, 'bndbox')
        x, y, width, height = instance['bbox']
        # VOC names the first and the last pixel of the box, counted from 1.
        for key, value in (('xmin', x + 1), ('ymin', y + 1), ('xmax', x + width), ('ymax', y + height)):
            ET.SubElement(box, key).text = str(value)
    ET.indent(root)
    return ET.ElementTree(root)


@DATASETS.register_module()
class DigitScenesDataset(CheckedCocoDataset):
    """DigitScenes for detection, generated where it is missing.

    Args:
        data_root (str, optional): parent of the scenes' folder. Default: :func:`default_root`.
        scenes (dict, optional): ``train``, ``val``, ``size`` and ``seed`` of :func:`generate`.
        **kwargs: of ``CheckedCocoDataset``; ``ann_file`` and ``data_prefix`` are relative to the scenes' folder.
    """
    METAINFO = dict(classes=CLASSES, palette=PALETTE)

    def __init__(self, data_root=None, scenes=None, **kwargs):
        super().__init__(data_root=str(generate(data_root, **(scenes or {}))), **kwargs)
