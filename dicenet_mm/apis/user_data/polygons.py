"""Masks of classes from the polygons of YOLO's label files."""
import os
from collections import Counter
from pathlib import Path

import numpy as np
from pycocotools import mask as rasterizer
from tqdm import tqdm

from dicenet_mm.datasets.files import head
from dicenet_mm.datasets.images import ImageError, image_size
from dicenet_mm.datasets.segmentation import IGNORED
from dicenet_mm.datasets.yolo import read_rows
from dicenet_mm.errors import UserError
from dicenet_mm.evaluation import save_mask
from dicenet_mm.visualization.text import class_colours

from .layout import fill_splits
from .pairs import Pairs
from .yolo import read_splits


def polygon_masks(folder: Path, found: dict, work_dir: Path) -> tuple[tuple[str, ...], dict[str, Pairs], list[str]]:
    """Draw a mask for each image into ``<work_dir>/data/masks``.

    The classes are those of the file, behind a background (0). Smaller polygons lie over larger ones. What a row
    without a polygon, a box, encloses beside polygons is ignored (255): what of it is the object is not known.

    Args:
        folder: Data in YOLO's layout.
        found: As :func:`dicenet_mm.apis.user_data.yolo.find_yolo` gives it.
        work_dir: Where the masks go.

    Returns:
        Class names, the pairs of each split, notes.

    Raises:
        UserError: If there are no polygons, a row cannot be understood, or two images have one name.
    """
    splits = read_splits(folder, found, work_dir)
    own = splits.names[0].lower() == 'background'
    names = tuple(splits.names) if own else ('background', *splits.names)
    if len(names) > IGNORED:
        raise UserError(f'{folder} has {len(names)} classes, and masks of one byte hold {IGNORED} at most')
    masks, colours = (work_dir / 'data/masks').absolute(), [(0, 0, 0), *class_colours(len(names) - 1)]
    polygons, unknown, boxed = 0, Counter(), []
    for image in tqdm(list(splits.label_files), desc='masks of polygons', unit=' images', delay=3, leave=False):
        try:
            width, height = image_size(image)
        except ImageError:
            continue  # training finds it again
        mask, shapes, boxes = np.zeros((height, width), np.uint8), [], []
        for label, box, polygon in read_rows(splits.label_files[image], bool(found.get('kpt_shape'))):
            if not 0 <= label < len(splits.names):
                unknown[f'class {label}'] += 1
                continue
            (shapes if polygon else boxes).append((label + (not own), polygon or box))
        drawn = [(label, _inside(corners, height, width)) for label, corners in shapes]
        for label, inside in sorted(drawn, key=lambda shape: -int(shape[1].sum())):
            mask[inside] = label
        for _, box in boxes:
            x1, y1, x2, y2 = np.multiply(box, (width, height) * 2).round().clip(0).astype(int)
            region = mask[y1:y2, x1:x2]
            region[region == 0] = IGNORED
        if boxes:
            boxed.append(image)
        polygons += len(shapes)
        _write(mask, colours, masks / f'{_name(folder, image)}.png')
    if not polygons:
        raise UserError(f'the label files of {folder} have boxes and no polygons, of which masks are made: take a '
                        'configuration of a detector for them')
    parts = {split: Pairs(folder, masks, '.png', [_name(folder, image) for image in images])
             for split, images in splits.parts.items()}
    twice = [name for name, count in Counter(_name(folder, image) for image in splits.label_files).items() if count > 1]
    if twice:
        raise UserError(f'{folder} has images of one name but for their suffix: {head(twice, 2)}; rename one of each')
    fill_splits(parts)
    notes = [*splits.notes, f'YOLO layout: the masks are made of its polygons, and lie in {masks}']
    if boxed:
        notes.append(f'{len(boxed)} images have rows without a polygon, whose boxes are ignored: {head(boxed, 2)}')
    if unknown:
        notes.append(f'{unknown.total()} rows are left out, since there is no such class: {head(sorted(unknown))}')
    return names, parts, notes


def _inside(corners: list[float], height: int, width: int) -> np.ndarray:
    """The pixels (height, width) inside a polygon, bool; its corners are x, y, x, y ... as shares of the image."""
    points = np.reshape(corners, (-1, 2)).clip(0, 1) * (width, height)
    return rasterizer.decode(rasterizer.frPyObjects([points.ravel().tolist()], height, width))[..., 0] > 0


def _name(folder: Path, image: str) -> str:
    """What list, image and mask have in common: the path from the folder, without the suffix."""
    return os.path.splitext(os.path.relpath(image, folder))[0]


def _write(mask: np.ndarray, colours: list[tuple[int, int, int]], path: Path) -> None:
    """Write a file whole, since several processes may write the same one at once."""
    part = path.with_suffix(f'.{os.getpid()}.png')
    save_mask(mask, colours, part)
    os.replace(part, path)
