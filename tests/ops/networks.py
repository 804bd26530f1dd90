"""Whole networks that the operators are tried in."""
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn

from tests.naive import randomised


class RawOutputs(nn.Module):
    """A detector from images (N, 3, H, W) to what its head computes, the scores and boxes of each level in turn."""

    def __init__(self, detector: nn.Module):
        super().__init__()
        self.detector = detector

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        scores, boxes = self.detector(x, None, mode='tensor')
        return *scores, *boxes


def raw_ssd() -> RawOutputs:
    """DiCENet-SSD300 with s=0.1, its normalisation and slopes away from their starting values."""
    cfg = Config.fromfile('configs/ssd_dicenet_300_voc0712.py')
    cfg.model.backbone.widen_factor = 0.1
    init_default_scope('mmdet')
    return randomised(RawOutputs(MODELS.build(cfg.model)))
