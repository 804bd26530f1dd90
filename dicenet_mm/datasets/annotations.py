"""Boxes of many images, whatever kind of file they come from: checked once, for training, counting and measuring."""
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from mmengine.logging import print_log

from dicenet_mm.errors import UserError

from .files import head

MAX_DROPPED = 0.25  # of the boxes of a data set may be unusable, or a few whatever that share is
A_FEW = 10
MAX_BOXES = 10_000  # in one training image: more do not fit the memory when they are matched with anchors


@dataclass
class Annotations:
    """Images and the boxes in them, N and K.

    Attributes:
        source: What messages call it.
        classes: Class names, each once.
        names: (N) names of the image files, relative to the folder of images.
        ids: (N) what the file calls the images, each once.
        sizes: (N, 2) width and height in px, int; 0 where they are not noted.
        image: (K,) index of the image of each box.
        label: (K,) index of its class; -1 where the class is none of ``classes``.
        boxes: (K, 4) float64, x1, y1, x2, y2 in px.
        area: (K,) float64, px^2: of the object where that is noted, else of the box.
        ignored: (K,) bool: crowds and difficult objects, which neither train nor count.
        unknown: Classes that annotations have and the file does not define, with the boxes of each.
    """
    source: str
    classes: tuple[str, ...]
    names: list[str]
    ids: list
    sizes: np.ndarray
    image: np.ndarray
    label: np.ndarray
    boxes: np.ndarray
    area: np.ndarray
    ignored: np.ndarray
    unknown: Counter = field(default_factory=Counter)

    @classmethod
    def of_rows(cls, source: str, classes: Sequence[str], names: list[str], ids: list, sizes: Sequence,
                rows: Sequence[tuple], unknown: Counter | None = None) -> 'Annotations':
        """From one row a box: image, label, x1, y1, x2, y2, area (0 or NaN where it is not noted), ignored."""
        table = np.array(rows, np.float64).reshape(-1, 8)
        boxes = table[:, 2:6].copy()
        # Drawn from right to left or from bottom to top, a box has its corners the wrong way round.
        boxes[:, 0], boxes[:, 2] = table[:, [2, 4]].min(1), table[:, [2, 4]].max(1)
        boxes[:, 1], boxes[:, 3] = table[:, [3, 5]].min(1), table[:, [3, 5]].max(1)
        with np.errstate(invalid='ignore', over='ignore'):
            sides = boxes[:, 2:] - boxes[:, :2]
            area = np.where(np.isfinite(table[:, 6]) & (table[:, 6] > 0), table[:, 6], sides.prod(1))
        return cls(source, tuple(classes), names, ids, np.array(sizes, np.int64).reshape(-1, 2),
                   table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), boxes, area, table[:, 7] > 0,
                   unknown or Counter())

    def kept(self, boxes: np.ndarray) -> 'Annotations':
        """The same images with some of the boxes, by a mask (K,)."""
        return Annotations(self.source, self.classes, self.names, self.ids, self.sizes, self.image[boxes],
                           self.label[boxes], self.boxes[boxes], self.area[boxes], self.ignored[boxes], self.unknown)

    def of_images(self, chosen: Sequence[int]) -> 'Annotations':
        """Some of the images with their boxes."""
        place = np.full(len(self.names), -1)
        place[chosen] = np.arange(len(chosen))
        out = self.kept(place[self.image] >= 0)
        out.names, out.ids = [self.names[index] for index in chosen], [self.ids[index] for index in chosen]
        out.sizes, out.image = self.sizes[chosen], place[out.image]
        return out


def clean(found: Annotations, training: bool) -> tuple[Annotations, Counter]:
    """What can be used of annotations whose images all have a size, and how many boxes had which fault.

    Boxes that reach out of their image by more than a pixel are clipped. Dropped are those that are not finite or of
    which less than a pixel (in testing: nothing) is left, and second ones of the same class and place.

    Raises:
        UserError: If more than a quarter of the boxes (and ten) are dropped, or they are in shares of the image.
    """
    sizes = np.tile(found.sizes[found.image], 2).astype(np.float64)
    boxes, faults = found.boxes, Counter()
    finite = np.isfinite(boxes).all(1)
    large = (found.sizes[found.image] > 8).all(1)
    if finite.any() and large.any() and (boxes[finite] <= 1.5).all():
        raise UserError(f'the boxes of {found.source} are shares of the image, from 0 to 1 (the first is '
                        f'{boxes[finite][0].round(4).tolist()}): multiply them by its width and height, in px')
    clipped = np.clip(np.where(finite[:, None], boxes, 0), 0, sizes)
    # One pixel more or less is how tools count, from 0 or from 1; such a box stays as it is.
    outside = finite & (np.abs(np.where(finite[:, None], boxes, 0) - clipped) > 1).any(1)
    sides = (clipped[:, 2:] - clipped[:, :2]).min(1) if len(boxes) else np.zeros(0)
    empty = finite & ((sides < 1) if training else (sides <= 0))
    faults['that are not finite dropped'] = int((~finite).sum())
    faults['without area dropped'] = int(empty.sum())
    faults['reaching out of their image clipped'] = int((outside & ~empty).sum())
    good = finite & ~empty
    dropped = int((~good).sum())
    if dropped > max(A_FEW, MAX_DROPPED * len(boxes)):
        first = int(np.flatnonzero(~good)[0])
        raise UserError(
            f'{dropped} of the {len(boxes)} boxes of {found.source} cannot be used, more than {MAX_DROPPED:.0%}: '
            f'they have no area inside their image, or are not finite. The first is {boxes[first].tolist()} '
            f'(x1, y1, x2, y2 in px) in {found.names[found.image[first]]}: mend the annotations')
    out = found.kept(good)
    where = outside[good]
    out.boxes = np.where(where[:, None], clipped[good], out.boxes)
    sides = out.boxes[:, 2:] - out.boxes[:, :2]
    out.area = np.minimum(out.area, np.where(where, sides.prod(1), np.inf))
    # One that counts goes before one that is ignored.
    order = np.argsort(out.ignored, kind='stable')
    rows = np.column_stack((out.image, out.label, out.boxes))[order]
    first = np.zeros(len(rows), bool)
    first[order[np.unique(rows, axis=0, return_index=True)[1]]] = True
    faults['of the same class and place as another dropped'] = int((~first).sum())
    out = out.kept(first)
    return out, +faults


def tell_faults(source: str, faults: Counter, unknown: Counter) -> None:
    """Log in a sentence what was mended or left out."""
    said = [f'{count} boxes {what}' for what, count in sorted(faults.items())]
    if said:
        print_log(f'{source}: ' + ', '.join(said), 'current', logging.WARNING)
    if unknown:
        print_log(f'{source}: {sum(unknown.values())} boxes are left out, since their classes are not among the '
                  f"configuration's: {head(sorted(unknown, key=str))}", 'current', logging.WARNING)
