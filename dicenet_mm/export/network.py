"""What is exported of a model: from prepared images to what a program wants to know, with tensors in and out only."""
from typing import Any

import torch
from mmdet.models import SingleStageDetector
from mmpretrain.models import ImageClassifier
from mmseg.models import EncoderDecoder
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import nms

from dicenet_mm.errors import UserError


class ExportedNetwork(nn.Module):
    """A network whose outputs have names.

    Args:
        model: What was trained, in evaluation mode.
    """

    #: What it does, as metadata names it.
    task: str
    #: Names of the outputs.
    outputs: tuple[str, ...]

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def raw(self, images: Tensor) -> Any:
        """What the layers compute of images (N, 3, H, W): a tensor, or of detectors those of each level."""
        return self.model(images, None, mode='tensor')


class ExportedClassifier(ExportedNetwork):
    """Images (N, 3, H, W) -> ``scores`` (N, classes), 0 to 1: softmax, or for several labels an image sigmoid.

    Args:
        model: The classifier.
        raw: Whether to give ``logits`` instead.
    """

    task = 'classification'

    def __init__(self, model: ImageClassifier, raw: bool):
        super().__init__(model)
        self.outputs = ('logits', ) if raw else ('scores', )
        self.several = type(model.head).__name__.startswith('MultiLabel')

    def forward(self, images: Tensor) -> Tensor:
        logits = self.raw(images)
        if self.outputs == ('logits', ):
            return logits
        return logits.sigmoid() if self.several else logits.softmax(1)


class ExportedSegmentor(ExportedNetwork):
    """Images (N, 3, H, W) -> ``labels`` (N, H, W), the class of each pixel, int32.

    Args:
        model: The segmentor.
        raw: Whether to give ``logits`` (N, classes, H, W) instead.
    """

    task = 'segmentation'

    def __init__(self, model: EncoderDecoder, raw: bool):
        super().__init__(model)
        self.outputs = ('logits', ) if raw else ('labels', )

    def forward(self, images: Tensor) -> Tensor:
        logits = functional.interpolate(self.raw(images), images.shape[2:], mode='bilinear',
                                        align_corners=self.model.align_corners)
        return logits if self.outputs == ('logits', ) else logits.argmax(1).int()


class ExportedDetector(ExportedNetwork):
    """Images (N, 3, H, W) -> ``boxes`` (N, K, 4), ``scores`` (N, K), ``labels`` (N, K), the best first.

    Boxes are (x1, y1, x2, y2) in px of the prepared image, after non-maximum suppression by class as in the
    configuration. K is its ``max_per_img``; places without a detection have score 0 and label -1.

    Args:
        model: The detector.
        size: Height and width of the prepared image, px.
        raw: Whether to give all ``boxes`` (N, A, 4) and ``scores`` (N, A, classes) before suppression instead.

    Raises:
        UserError: If the detector's head, or its suppression, is of a kind that is not known here.
    """

    task = 'detection'

    def __init__(self, model: SingleStageDetector, size: tuple[int, int], raw: bool):
        super().__init__(model)
        head, cfg = model.bbox_head, model.test_cfg
        with torch.no_grad():
            outs = self.raw(torch.zeros(1, 3, *size, device=next(model.parameters()).device))
        if len(outs) != 2 or cfg.nms.get('type', 'nms') != 'nms':
            raise UserError(f'{type(head).__name__} cannot be exported: its outputs are not scores and boxes of each '
                            'level, suppressed by plain nms')
        self.size, self.is_raw = size, raw
        self.outputs = ('boxes', 'scores') if raw else ('boxes', 'scores', 'labels')
        priors = head.prior_generator.grid_priors([level.shape[2:] for level in outs[0]], device=outs[0][0].device)
        self.counts = [len(level) for level in priors]
        self.register_buffer('priors', torch.cat(priors), persistent=False)
        self.limit = cfg.get('nms_pre', -1)
        self.score_thr, self.iou_thr = cfg.get('score_thr', 0.), cfg.nms.iou_threshold
        self.min_side, self.kept = cfg.get('min_bbox_size', -1), cfg.max_per_img

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        boxes, scores = self.boxes_and_scores(images)
        return (boxes, scores) if self.is_raw else self.suppress(boxes, scores)

    def boxes_and_scores(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) -> boxes (N, A, 4), clipped to the image, and scores of the classes (N, A, C)."""
        head = self.model.bbox_head
        scores, offsets = ([level.permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, channels)) for level in levels]
                           for levels, channels in zip(self.raw(images), (head.cls_out_channels, 4)))
        scores, offsets = torch.cat(scores, 1), torch.cat(offsets, 1)
        scores = scores.sigmoid() if head.use_sigmoid_cls else scores.softmax(2)[..., :-1]
        priors = self.priors.expand(len(offsets), -1, -1).flatten(0, 1)
        boxes = head.bbox_coder.decode(priors, offsets.flatten(0, 1), max_shape=self.size)
        return boxes.unflatten(0, (-1, len(self.priors))), scores

    def suppress(self, boxes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Candidates of each level, and of them those that no better box of their class and image overlaps."""
        classes = scores.shape[2]
        found = []
        for level_boxes, level_scores in zip(boxes.split(self.counts, 1), scores.split(self.counts, 1)):
            flat = level_scores.flatten(1)
            count = flat.shape[1] if self.limit <= 0 else min(self.limit, flat.shape[1])
            best, places = flat.topk(count, 1)
            anchors = (places // classes)[..., None].expand(-1, -1, 4)
            found.append((level_boxes.gather(1, anchors), best, places % classes))
        boxes, scores, labels = (torch.cat(parts, 1) for parts in zip(*found))
        valid = scores > self.score_thr
        if self.min_side >= 0:
            valid = valid & ((boxes[..., 2:] - boxes[..., :2]) > self.min_side).all(2)
        # One call for all: classes lie side by side and images below each other, so that none overlap.
        image, place = valid.nonzero(as_tuple=True)
        chosen = boxes[image, place]
        shift = torch.stack((labels[image, place] * (self.size[1] + 1), image * (self.size[0] + 1)), 1).to(boxes)
        kept = nms(chosen + shift.repeat(1, 2), scores[image, place], self.iou_thr)
        mask = torch.zeros_like(scores).index_put((image[kept], place[kept]), scores.new_ones(()))
        scores, order = (scores * mask).topk(min(self.kept, scores.shape[1]), 1)
        empty = scores <= 0
        boxes = boxes.gather(1, order[..., None].expand(-1, -1, 4)).masked_fill(empty[..., None], 0)
        return boxes, scores, labels.gather(1, order).masked_fill(empty, -1).int()


def exported_network(model: nn.Module, size: tuple[int, int], raw: bool = False) -> ExportedNetwork:
    """What is exported of a model.

    Args:
        model: A detector of one stage, a segmentor or a classifier, in evaluation mode.
        size: Height and width of its prepared images, px.
        raw: Whether outputs are those of the layers, without suppression, softmax or the choice of a class.

    Raises:
        UserError: If it is another kind of model.
    """
    if isinstance(model, SingleStageDetector):
        return ExportedDetector(model, size, raw).eval()
    if isinstance(model, EncoderDecoder):
        return ExportedSegmentor(model, raw).eval()
    if isinstance(model, ImageClassifier):
        return ExportedClassifier(model, raw).eval()
    raise UserError(f'{type(model).__name__} cannot be exported: there is a way for detectors of one stage, segmentors '
                    'and image classifiers')
