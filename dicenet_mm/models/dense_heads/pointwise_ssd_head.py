"""The head of ESPNetv2-SSD (Table VI)."""
from mmdet.models import SSDHead
from mmengine.registry import MODELS
from torch import nn


@MODELS.register_module()
class PointwiseSSDHead(SSDHead):
    """mmdet's ``SSDHead`` with one 1x1 convolution for the scores and one for the boxes of each level."""

    def _init_layers(self) -> None:
        pairs = list(zip(self.in_channels, self.num_base_priors))
        self.cls_convs = nn.ModuleList(nn.Conv2d(channels, priors * self.cls_out_channels, 1)
                                       for channels, priors in pairs)
        self.reg_convs = nn.ModuleList(nn.Conv2d(channels, priors * 4, 1) for channels, priors in pairs)
