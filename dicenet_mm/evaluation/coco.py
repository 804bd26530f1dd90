"""COCO's average precision."""
import contextlib
import io
from collections.abc import Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from dicenet_mm.errors import UserError

from .tables import log_table, tell_absent

# Names of COCOeval's first six figures: AP at IoU .5:.95, .5, .75, and of objects below 32^2, 96^2 px and above.
NAMES = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')


@METRICS.register_module()
class CocoDetectionMetric(BaseMetric):
    """COCO's AP by pycocotools, with its limits of 1, 10 and 100 detections a class and image.

    The truth is that of the data set itself, which its samples carry as ``instances`` (``BoxDataset`` of this package):
    what was clipped or left out there is so here, and ids do not matter. Values are from 0 to 1, and NaN where there is
    nothing to find.

    Args:
        **kwargs: ``collect_device`` and the like, as for every metric of mmengine.
    """

    default_prefix = 'coco'

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Note the truth and the detections of a batch, in px of the images as their files have them."""
        for sample in data_samples:
            if 'instances' not in sample:
                raise UserError('CocoDetectionMetric reads the truth from samples that carry it: use a data set of '
                                "dicenet_mm, or mmdet's CocoMetric with an ann_file")
            self.results.append(to_result(sample['instances'], sample['pred_instances']))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """``{'bbox_mAP': ..., 'bbox_mAP_50': ..., ..., '<class>_precision': AP of each class}``."""
        classes = self.dataset_meta['classes']
        table = ap_table(coco_evaluation(results, classes), classes)
        log_table(*table, digits=3)
        each, (_, *figures) = table[1:-1], table[-1]
        tell_absent([name for name, *values in each if np.isnan(values[0])])
        return {**{f'bbox_{name}': value for name, value in zip(NAMES, figures)},
                **{f'{name}_precision': values[0] for name, *values in each}}


def to_result(truth: Sequence[dict], found) -> tuple[np.ndarray, ...]:
    """The truth and the detections of an image as arrays.

    Args:
        truth: ``bbox``, ``bbox_label``, ``ignore_flag`` and ``area`` of each object, in px of the image's file.
        found: ``pred_instances`` of a sample.

    Returns:
        Boxes (K, 4) and label, ignored, area (K, 3) of the truth; boxes (N, 4), labels (N,) and scores (N,).
    """
    return (np.array([entry['bbox'] for entry in truth], np.float64).reshape(-1, 4),
            np.array([(entry['bbox_label'], entry.get('ignore_flag', 0), entry.get('area') or 0.)
                      for entry in truth], np.float64).reshape(-1, 3),
            found['bboxes'].numpy(force=True).astype(np.float64).reshape(-1, 4),
            found['labels'].numpy(force=True), found['scores'].numpy(force=True))


def coco_evaluation(results: Sequence[tuple], classes: Sequence[str]) -> COCOeval:
    """pycocotools' evaluation, accumulated and summarised, of one :func:`to_result` an image; images count from 0."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = _index(classes, len(results), [
            _entry(image, box, label, area or None, int(ignored))
            for image, (boxes, rest, *_) in enumerate(results)
            for box, (label, ignored, area) in zip(boxes.tolist(), rest.tolist())])
        found = _index(classes, len(results), [
            dict(_entry(image, box, label), score=score)
            for image, (*_, boxes, labels, scores) in enumerate(results)
            for box, label, score in zip(boxes.tolist(), labels.tolist(), scores.tolist())])
        evaluation = COCOeval(truth, found, 'bbox')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def ap_table(evaluation: COCOeval, classes: Sequence[str]) -> list[tuple]:
    """Average precision of each class and size of objects: a heading, a row a class, and the row of all."""
    precision = evaluation.eval['precision']  # IoUs, recalls, classes, areas, limits of detections
    each = [(name, *(_mean(part) for part in (
        precision[:, :, label, 0, -1], precision[0, :, label, 0, -1], precision[5, :, label, 0, -1],
        *(precision[:, :, label, area, -1] for area in (1, 2, 3))))) for label, name in enumerate(classes)]
    return [('class', *NAMES), *each, ('all', *(_known(value) for value in evaluation.stats[:6]))]


def _entry(image: int, box: list[float], label: float, area: float | None = None, crowd: int = 0) -> dict:
    x1, y1, x2, y2 = box
    return dict(image_id=image, category_id=int(label), bbox=[x1, y1, x2 - x1, y2 - y1], iscrowd=crowd,
                area=(x2 - x1) * (y2 - y1) if area is None else area)


def _index(classes: Sequence[str], images: int, annotations: list[dict]) -> COCO:
    out = COCO()
    for number, entry in enumerate(annotations, 1):  # pycocotools takes an id of 0 for no match
        entry['id'] = number
    out.dataset = dict(images=[dict(id=image) for image in range(images)], annotations=annotations,
                       categories=[dict(id=label, name=name) for label, name in enumerate(classes)])
    out.createIndex()
    return out


def _known(value: float) -> float:
    """A figure of pycocotools, which has -1 for what does not occur."""
    return round(float(value), 6) if value > -1 else float('nan')


def _mean(precision: np.ndarray) -> float:
    known = precision[precision > -1]
    return _known(known.mean() if known.size else -1)
