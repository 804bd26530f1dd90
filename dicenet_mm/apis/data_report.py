"""What is worth knowing of one's data before a training: images twice, classes without boxes, boxes of odd sizes."""
import os
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b

import cv2
import numpy as np
from tqdm import tqdm

from dicenet_mm.datasets.files import head
from dicenet_mm.datasets.images import TURNED, ImageError, decode, image_header

MAX_COMPARED = 20_000  # images, which takes about a minute
TINY = 0.02  # of the image's width or height: 6 px at an input of 300 px
GIANT = 0.95  # of the image's area
IMBALANCE = 50  # how many times more boxes the most frequent class has than the rarest
SPLITS = dict(train='train on', val='validate on', test='test on')


def report(contents: dict) -> list[str]:
    """Sentences on what :func:`check_data` has read.

    Args:
        contents: What it gives: for each split its ``paths`` of images, ``classes``, ``counts`` of labels, what is
            ``counted``, and ``sides``, (K, 2) the width and height of each box as shares of its image.
    """
    said = []
    for name, split in contents.items():
        what = dict(boxes='box', labels='image', masks='image')[split.counted]
        absent = [split.classes[label] for label in range(len(split.classes)) if not split.counts[label]]
        if absent and split.counts:
            said.append(f'{head(absent)}: no {what} to {SPLITS[name]}' + (
                ', so that nothing is learned of ' if name == 'train' else ', so that nothing is measured of ') +
                ('it' if len(absent) == 1 else 'them'))
    train = contents.get('train')
    if train is not None:
        said += _boxes(train)
    return said + _images(contents)


def _boxes(train) -> list[str]:
    said = []
    counts = {train.classes[label]: count for label, count in train.counts.items() if count and
              label < len(train.classes)}
    most, least = (max(counts, key=counts.get), min(counts, key=counts.get)) if counts else ('', '')
    if counts and counts[most] > IMBALANCE * counts[least]:
        said.append(f'{most} has {counts[most]} {train.counted} to train on and {least} {counts[least]}: what is rare '
                    'is found rarely; more images of it help')
    sides = np.concatenate(train.sides) if train.sides else np.zeros((0, 2))
    tiny = (f'are narrower or lower than {TINY:.0%} of their image, of which little is left at the input size of a '
            'network; larger inputs or pieces of the images help')
    for chosen, text in ((sides.min(1, initial=1) < TINY, tiny),
                         (sides.prod(1) > GIANT, f'fill more than {GIANT:.0%} of their image: are they meant?')):
        if chosen.any():
            said.append(f'{chosen.sum()} of the {len(sides)} boxes to train on {text}')
    return said


def _images(contents: dict) -> list[str]:
    """What reading the images tells: which are the same, turned, or unreadable."""
    splits = {path: name for name, split in reversed(contents.items()) for path in split.paths}
    paths = list(splits)[:MAX_COMPARED]
    said = [f'of {len(splits)} images, {MAX_COMPARED} were compared'] if len(paths) < len(splits) else []
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        looks = list(tqdm(pool.map(_look, paths), total=len(paths), desc='images', delay=3, leave=False, unit='image'))
    unreadable = [path for path, (key, _) in zip(paths, looks) if key is None]
    turned = [path for path, (_, orientation) in zip(paths, looks) if orientation in TURNED]
    if unreadable:
        said.append(f'{len(unreadable)} images cannot be read: {head(unreadable, 2)}')
    if turned:
        said.append(f'{len(turned)} images are mirrored or turned upside down as their EXIF data asks, which the '
                    f'annotations may not know of: {head(turned, 2)}')
    groups = {}
    for path, (key, _) in zip(paths, looks):
        if key is not None:
            groups.setdefault(key, []).append(path)
    twice, leaked = [], []
    for group in groups.values():
        for path in group[1:]:
            if os.path.realpath(path) != os.path.realpath(group[0]) and _equal(path, group[0]):
                (leaked if splits[path] != splits[group[0]] else twice).append((group[0], path))
    for pairs, text in ((leaked, 'images have the pixels of one of another split, which makes the metric too good'),
                        (twice, 'images have the pixels of another one of their split')):
        if pairs:
            said.append(f'{len(pairs)} {text}: {" and ".join(pairs[0])}')
    return said


def _look(path: str) -> tuple[bytes | None, int]:
    """A hash of an image's pixels at an eighth of its size, None where it cannot be read; and its EXIF orientation."""
    try:
        width, height, orientation = image_header(path)
    except ImageError:
        return None, 1
    pixels = decode(path, cv2.IMREAD_REDUCED_GRAYSCALE_8)
    if pixels is None:
        return None, orientation
    return blake2b(pixels.tobytes() + f'{width} {height}'.encode(), digest_size=16).digest(), orientation


def _equal(first: str, second: str) -> bool:
    images = [decode(path) for path in (first, second)]
    return all(image is not None for image in images) and np.array_equal(*images)
