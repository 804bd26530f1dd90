"""RTM-DiCENet: DiCENet with the neck, head and label assignment of RTMDet.

Lyu and others: "RTMDet: An Empirical Study of Designing Real-Time Object Detectors", https://arxiv.org/abs/2212.07784.
"""
from collections.abc import Sequence

from mmdet.models import SingleStageDetector
from mmengine.registry import MODELS

from ..norm_eval import NormEval
from .channels import backbone_channels


@MODELS.register_module()
class RTMDiCENet(NormEval, SingleStageDetector):
    """mmdet's single-stage detector whose neck and head have one width, whatever the backbone's.

    A pyramid at the widths of the backbone would cost three times the backbone itself.

    Args:
        backbone: Any backbone.
        neck: What brings the levels to one width (mmdet's ``ChannelMapper``) and what mixes them (``CSPNeXtPAFPN``),
            both without ``in_channels`` and ``out_channels``.
        bbox_head: mmdet's ``RTMDetSepBNHead`` without ``in_channels`` and ``feat_channels``.
        channels: The width of neck and head.
        norm_eval: Whether every batch normalisation, of neck and head too, keeps its running statistics in training.
        **kwargs: As for mmdet's ``SingleStageDetector``.

    Raises:
        ValueError: If the head is to share depth-wise layers between levels, which mmdet cannot.
    """

    def __init__(self, backbone: dict, neck: Sequence[dict], bbox_head: dict, channels: int = 96,
                 norm_eval: bool = False, **kwargs):
        if bbox_head.get('use_depthwise') and bbox_head.get('share_conv', True):
            raise ValueError('mmdet cannot share the depth-wise layers of RTMDetSepBNHead between levels: set '
                             'model.bbox_head.share_conv=False (or use_depthwise=False)')
        levels = list(backbone_channels(backbone))
        mapper, pyramid = neck
        self.norm_eval = norm_eval
        super().__init__(
            backbone,
            [dict(mapper, in_channels=levels, out_channels=channels),
             dict(pyramid, in_channels=[channels] * len(levels), out_channels=channels)],
            dict(bbox_head, in_channels=channels, feat_channels=channels), **kwargs)
