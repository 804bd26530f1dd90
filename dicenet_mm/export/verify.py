"""Whether an exported file gives what the model gives: numbers on several inputs, and the metric."""
from collections.abc import Callable, Sequence

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

from dicenet_mm.models.segmentors.espnetv2 import nearest

from .network import ExportedDetector, ExportedNetwork


def difference(network: ExportedNetwork, expected: Sequence[np.ndarray], got: Sequence[np.ndarray]) -> dict[str, float]:
    """How far outputs are from the model's own.

    Returns:
        For classes of pixels ``{'pixels that differ': share}``. For detections ``{'missed': share of those that score
        0.05 or more without a box of their class in the file's that overlaps by half, 'score': largest difference,
        'px': largest difference of a side}``. Otherwise, by output, the largest difference over the largest value.
    """
    if network.outputs == ('labels', ):
        return {'pixels that differ': float((expected[0] != got[0]).mean())}
    if network.outputs == ('boxes', 'scores', 'labels'):
        return _difference_of_detections(expected, got)
    return {name: float(np.abs(a - b).max() / max(np.abs(a).max(), 1e-12))
            for name, a, b in zip(network.outputs, expected, got)}


def _difference_of_detections(expected: Sequence[np.ndarray], got: Sequence[np.ndarray]) -> dict[str, float]:
    missed, total, score, side = 0, 0, 0., 0.
    for boxes, scores, labels, other_boxes, other_scores, other_labels in zip(*expected, *got):
        for box, value, label in zip(boxes, scores, labels):
            if value < 0.05:
                continue
            total += 1
            same = other_labels == label
            overlap = _overlap(box, other_boxes[same]) if same.any() else np.zeros(1)
            if overlap.max() < 0.5:
                missed += 1
                continue
            best = overlap.argmax()
            score = max(score, float(abs(other_scores[same][best] - value)))
            side = max(side, float(np.abs(other_boxes[same][best] - box).max()))
    return dict(missed=missed / max(total, 1), score=score, px=side)


def _overlap(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of a box (4,) with others (K, 4)."""
    sides = np.clip(np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2]), 0, None)
    shared = sides.prod(1)
    return shared / (np.prod(box[2:] - box[:2]) + (boxes[:, 2:] - boxes[:, :2]).prod(1) - shared + 1e-12)


def predictor(network: ExportedNetwork, run: Callable[[np.ndarray], Sequence[np.ndarray]]) -> Callable:
    """A way to predict for :meth:`Source.measured`: samples with what an exported file says of prepared images.

    Args:
        network: What was exported, for the meaning of the outputs.
        run: From images (N, 3, H, W) to the outputs, as the formats' ``load`` gives it.
    """
    fill = dict(classification=_classified, segmentation=_segmented, detection=_detected)[network.task]

    def predict(images: Tensor, samples: Sequence) -> Sequence:
        outputs = [torch.from_numpy(np.asarray(output)) for output in run(images.numpy())]
        return fill(network, outputs, samples)

    return predict


def _classified(network, outputs, samples):
    if network.outputs == ('logits', ):
        return network.model.head._get_predictions(outputs[0], samples)
    for sample, scores in zip(samples, outputs[0]):
        thr = getattr(network.model.head, 'thr', None)
        label = scores.argmax(0, keepdim=True) if thr is None else torch.where(scores >= thr)[0]
        sample.set_pred_score(scores).set_pred_label(label)
    return samples


def _segmented(network, outputs, samples):
    if network.outputs == ('logits', ):
        return network.model.postprocess_result(outputs[0], samples)
    for sample, labels in zip(samples, outputs[0]):
        rows, columns = (nearest(*extents) for extents in zip(labels.shape, sample.ori_shape))
        sample.pred_sem_seg = PixelData(data=labels[rows[:, None], columns][None].long())
    return samples


def _detected(network: ExportedDetector, outputs, samples: Sequence[DetDataSample]):
    if network.is_raw:
        outputs = network.suppress(*outputs)
    for sample, boxes, scores, labels in zip(samples, *outputs):
        there = labels >= 0
        factor = boxes.new_tensor(sample.scale_factor).repeat(2)
        sample.pred_instances = InstanceData(bboxes=boxes[there] / factor, scores=scores[there],
                                             labels=labels[there].long())
    return samples
