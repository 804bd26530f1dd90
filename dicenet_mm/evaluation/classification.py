"""Metrics of whole images: one label (Table IV) and several (Table VII). Values are percentages."""

import torch
from mmengine.registry import METRICS
from mmpretrain.evaluation import Accuracy, MultiLabelMetric
from torch import Tensor

from .tables import log_table

MAX_LISTED = 80  # classes up to which each has a metric of its own and a row in the log: as many as COCO has
MAX_LABELS = 20  # of an image


def best_labels(scores: Tensor, score_thr: float = 0.) -> list[tuple[int, float]]:
    """Labels of one image from its scores (C,): (label, score) of those that score ``score_thr`` or more, best first.

    There are no more than 20, so that predictions over a thousand classes stay readable.
    """
    values, labels = scores.topk(min(MAX_LABELS, len(scores)))
    return [(label, value) for label, value in zip(labels.tolist(), values.tolist()) if value >= score_thr]


@METRICS.register_module()
class TopAccuracy(Accuracy):
    """mmpretrain's top-1 and top-5 accuracy, with the top-1 accuracy of each class where there are at most 80.

    With fewer than five classes there is no top-5.

    Args:
        **kwargs: ``collect_device`` and the like, as for every metric of mmengine.
    """

    def __init__(self, **kwargs):
        super().__init__(topk=(1, 5), thrs=None, **kwargs)

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """``{'top1': ..., 'top5': ..., 'top1/<class>': of each class that occurs}``."""
        count = len(results[0]['pred_score'])
        self.topk = tuple(k for k in (1, 5) if k <= count)
        metrics = super().compute_metrics(results)
        if count > MAX_LISTED:
            return metrics
        truth = torch.cat([result['gt_label'] for result in results])
        right = torch.stack([result['pred_score'] for result in results]).argmax(1) == truth
        classes = self.dataset_meta['classes']
        each = {label: 100 * right[truth == label].double().mean().item() for label in truth.unique().tolist()}
        log_table(('class', 'images', 'top-1'),
                   *((classes[label], int((truth == label).sum()), value) for label, value in each.items()),
                   ('all', len(truth), metrics['top1']))
        return {**metrics, **{f'top1/{classes[label]}': value for label, value in each.items()}}


@METRICS.register_module()
class MultiLabelF1(MultiLabelMetric):
    """Precision, recall and F1 at threshold 0.5 by mmpretrain: class-wise and overall, and F1 of each class.

    Class-wise values are means over the classes; overall ones pool the counts of all classes. A class that neither
    occurs nor is predicted has no F1 and is left out of the means (mmpretrain counts it as 0; on the whole of COCO val
    every class occurs).

    Args:
        **kwargs: ``collect_device`` and the like, as for every metric of mmengine.
    """

    def __init__(self, **kwargs):
        super().__init__(thr=0.5, **kwargs)

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """``{'class_f1': ..., 'overall_f1': ..., the same of precision and recall, 'f1/<class>': ...}``."""
        scores = torch.stack([result['pred_score'] for result in results]).cpu()
        truth = torch.stack([result['gt_score'] for result in results]).cpu()
        found = (scores >= self.thr).sum(0)
        each = torch.stack(self.calculate(scores, truth, average=None, thr=self.thr)[:3], 1).double()  # (C, 3)
        overall = [value.item() for value in self.calculate(scores, truth, average='micro', thr=self.thr)[:3]]
        counted = (truth.sum(0) + found > 0).nonzero().flatten().tolist()
        means = each[counted].mean(0).tolist() if counted else [0.] * 3
        classes = self.dataset_meta['classes']
        if len(classes) <= MAX_LISTED:
            log_table(('class', 'images', 'found', 'precision', 'recall', 'F1'),
                       *((classes[c], int(truth[:, c].sum()), int(found[c]), *each[c].tolist()) for c in counted),
                       (f'mean of {len(counted)} classes', '', '', *means),
                       ('overall', int(truth.sum()), int(found.sum()), *overall))
        names = ('precision', 'recall', 'f1')
        metrics = {f'{kind}_{name}': value for kind, values in (('class', means), ('overall', overall))
                   for name, value in reversed(list(zip(names, values)))}
        if len(classes) <= MAX_LISTED:
            metrics.update({f'f1/{classes[c]}': each[c, 2].item() for c in counted})
        return metrics
