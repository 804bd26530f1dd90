"""Predictions as plain data, for JSON."""
from collections.abc import Sequence
from pathlib import Path

import mmengine
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS

from .classification import best_labels
from .segmentation import segments


def to_plain(sample: dict, classes: Sequence[str], score_thr: float = 0.) -> dict:
    """What a model found in one image, as numbers and text.

    Args:
        sample: A data sample as a dict, with ``pred_instances``, ``pred_sem_seg`` or ``pred_score``.
        classes: Class names.
        score_thr: Detections or labels below it are left out.

    Returns:
        ``{'detections': [{'label': name, 'score': 0 to 1, 'bbox': [x1, y1, x2, y2] in px of the original image}]}``,
        best first. For segmentation ``{'segments': [{'label': name, 'share': of the pixels, 0 to 1}]}``, largest first.
        For classification ``{'labels': [{'label': name, 'score': 0 to 1}]}``, best first, 20 at most.
    """
    if 'pred_sem_seg' in sample:
        return dict(segments=segments(sample['pred_sem_seg']['data'].squeeze(0).numpy(force=True), classes))
    if 'pred_score' in sample:
        return dict(labels=[dict(label=classes[label], score=round(score, 4))
                            for label, score in best_labels(sample['pred_score'], score_thr)])
    found = sample['pred_instances']
    rows = zip(found['labels'].tolist(), found['scores'].tolist(), found['bboxes'].tolist())
    detections = [dict(label=classes[label], score=round(score, 4), bbox=[round(side, 2) for side in bbox])
                  for label, score, bbox in rows if score >= score_thr]
    return dict(detections=sorted(detections, key=lambda detection: -detection['score']))


@METRICS.register_module()
class PredictionDump(BaseMetric):
    """Writes every prediction of a test to one JSON file instead of measuring it.

    Args:
        out_file: The file: a list with one entry an image, ``{'image': path, 'width': px, 'height': px, ...}``.
        **kwargs: As for every metric of mmengine.
    """

    default_prefix = 'predictions'

    def __init__(self, out_file: str, **kwargs):
        super().__init__(**kwargs)
        self.out_file = Path(out_file)
        self.out_file.parent.mkdir(parents=True, exist_ok=True)

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            height, width = sample['ori_shape']
            # images of a data set of arrays have a number instead of a path
            self.results.append(dict(image=sample.get('img_path', sample.get('sample_idx')), width=width, height=height,
                                     **to_plain(sample, self.dataset_meta['classes'])))

    def compute_metrics(self, results: list[dict]) -> dict[str, int]:
        mmengine.dump(results, str(self.out_file), indent=1)
        return dict(images=len(results))
