"""Which detections are right: matched with the truth by pycocotools, at IoU 0.5."""
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from pycocotools.cocoeval import COCOeval


@dataclass
class Matches:
    """The detections of an image and the truth, as rows of x1, y1, x2, y2 in px, label and score (1 for the truth).

    Attributes:
        right: Detections that have an object of their class.
        wrong: Detections that have none.
        missed: Objects without a detection.
    """
    right: list[list[float]] = field(default_factory=list)
    wrong: list[list[float]] = field(default_factory=list)
    missed: list[list[float]] = field(default_factory=list)

    @property
    def errors(self) -> int:
        return len(self.wrong) + len(self.missed)


def matches(evaluation: COCOeval, score_thr: float = 0.3) -> list[Matches]:
    """Sort the detections of each image, and the objects that are missed.

    Args:
        evaluation: After ``evaluate()``, with images numbered from 0.
        score_thr: What scores less counts as not detected. It takes no object from what scores more.
    """
    found = [Matches() for _ in evaluation.params.imgIds]
    whole = list(evaluation.params.areaRng[0])
    for entry in evaluation.evalImgs:
        if entry is None or list(entry['aRng']) != whole:
            continue
        image = found[entry['image_id']]
        scores = dict(zip(entry['dtIds'], entry['dtScores']))
        for place, name in enumerate(entry['dtIds']):
            if scores[name] >= score_thr and not entry['dtIgnore'][0, place]:
                rows = image.right if entry['dtMatches'][0, place] else image.wrong
                rows.append(_row(evaluation.cocoDt.anns[name]))
        for place, name in enumerate(entry['gtIds']):
            match = entry['gtMatches'][0, place]
            if not entry['gtIgnore'][place] and not (match and scores[int(match)] >= score_thr):
                image.missed.append(_row(evaluation.cocoGt.anns[name]))
    return found


def confusion(truth: Sequence[np.ndarray], found: Sequence[np.ndarray], classes: int, score_thr: float = 0.3,
              iou_thr: float = 0.5) -> np.ndarray:
    """Which classes are taken for which, whatever class the boxes that lie on each other have (supervision).

    Args:
        truth: For each image (K, 5): x1, y1, x2, y2 in px, label.
        found: For each image (N, 6), with a score at the end.
        classes: How many.
        score_thr: What scores less is left out.
        iou_thr: Overlap that makes a pair.

    Returns:
        (classes + 1, classes + 1) counts; rows are the truth. The last row is of what lies on nothing, the last column
        of what is missed.

    Raises:
        UserError: If supervision is not installed.
    """
    from dicenet_mm.extras import require
    supervision = require('supervision', 'glue', 'the confusion matrix of a detector')
    made = supervision.ConfusionMatrix.from_tensors(
        [np.asarray(rows, np.float32).reshape(-1, 6) for rows in found],
        [np.asarray(rows, np.float32).reshape(-1, 5) for rows in truth],
        [str(label) for label in range(classes)], score_thr, iou_thr)
    return np.asarray(made.matrix)


def _row(annotation: dict) -> list[float]:
    x, y, width, height = annotation['bbox']
    return [x, y, x + width, y + height, annotation['category_id'], annotation.get('score', 1.)]
