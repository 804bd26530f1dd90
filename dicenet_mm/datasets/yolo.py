"""YOLO's label files, read as annotations: a text beside each image, with a row for each object."""
import os
from collections import Counter
from collections.abc import Sequence

import numpy as np

from dicenet_mm.errors import UserError

from .annotations import Annotations
from .files import read_lines
from .images import ImageError, image_size


def read_rows(path: str, keypoints: bool = False) -> list[tuple[int, list[float], list[float]]]:
    """The objects of a label file; none if there is no such file.

    A row has the number of the class and, in shares of the image's width and height, the centre and the size of the box
    (five numbers, or six with a confidence or a track), or the corners of a polygon (seven and more).

    Args:
        path: The file.
        keypoints: Whether what follows the box are key points, which are left out.

    Returns:
        For each object its class, its box x1, y1, x2, y2, and its polygon x, y, x, y ... (empty for a box).

    Raises:
        UserError: If a row is of another kind.
    """
    rows = []
    for number, line in enumerate(read_lines(path) if os.path.isfile(path) else (), 1):
        try:
            label, *values = map(float, line.replace(',', ' ').split())
            if not label.is_integer() or len(values) < 4 or len(values) > 5 and not keypoints and len(values) % 2:
                raise ValueError
        except ValueError:
            raise UserError(f'{path}, line {number}: {line[:60]!r} is no object of YOLO: a row has the number of the '
                            'class, then x, y, width and height or the corners of a polygon') from None
        if keypoints or len(values) < 6:
            x, y, width, height = values[:4]
            rows.append((int(label), [x - width / 2, y - height / 2, x + width / 2, y + height / 2], []))
        else:
            xs, ys = values[::2], values[1::2]
            rows.append((int(label), [min(xs), min(ys), max(xs), max(ys)], values))
    return rows


def read_yolo(source: str, images: Sequence[tuple[str, str]], classes: Sequence[str], keypoints: bool = False,
              training: bool = True) -> Annotations:
    """The boxes of images in px.

    Args:
        source: What messages call it.
        images: The path of each image, and of its label file; without one the image shows nothing.
        classes: Class names, by number.
        keypoints: As for :func:`read_rows`.
        training: Whether an image that cannot be read is left to the training, which skips it.

    Raises:
        UserError: If a row cannot be understood or is in px, or in testing an image cannot be read.
    """
    sizes, rows, unknown = [], [], Counter()
    beyond, first = 0, ''
    for index, (image, label_file) in enumerate(images):
        try:
            width, height = image_size(image)
        except ImageError:
            if not training:
                raise
            width = height = 640  # whatever it is
        sizes.append((width, height))
        for label, box, _ in read_rows(label_file, keypoints):
            if not 0 <= label < len(classes):
                unknown[f'class {label}'] += 1
                continue
            if max(map(abs, box)) > 2:
                beyond, first = beyond + 1, first or label_file
            rows.append((index, label, *np.multiply(box, (width, height) * 2), 0, 0))
    if beyond > len(rows) / 2:
        raise UserError(f'{beyond} of the {len(rows)} boxes of {source} lie outside of their images, as in {first}: '
                        "YOLO's numbers are shares of the width and height, from 0 to 1, not px")
    paths = [image for image, _ in images]
    return Annotations.of_rows(source, tuple(classes), paths, list(range(len(images))), sizes, rows, unknown)
