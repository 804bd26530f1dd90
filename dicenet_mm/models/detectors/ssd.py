"""SSD (Section 5.2, Table VI)."""
from collections.abc import Sequence

from mmdet.models import SingleStageDetector
from mmengine.registry import MODELS
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from ..norm_eval import NormEval
from .channels import backbone_channels


@MODELS.register_module()
class SSD(NormEval, SingleStageDetector):
    """mmdet's single-stage detector with a neck and head that take their channels from the backbone.

    So one value, ``backbone.widen_factor``, sets the width of the whole detector.

    Args:
        backbone: Any backbone.
        neck: mmdet's ``SSDNeck`` or another with ``extra_layers``; ``out_channels`` names only the levels that these
            add, ``in_channels`` is not given.
        bbox_head: mmdet's ``SSDHead`` or one derived from it, without ``in_channels``.
        norm_eval: Whether every batch normalisation, of neck and head too, keeps its running statistics in training.
        **kwargs: As for mmdet's ``SingleStageDetector``.
    """

    def __init__(self, backbone: dict, neck: dict, bbox_head: dict, norm_eval: bool = False, **kwargs):
        in_channels = backbone_channels(backbone)
        out_channels = (*in_channels, *neck['out_channels'])
        self.norm_eval = norm_eval
        super().__init__(backbone, dict(neck, in_channels=in_channels, out_channels=out_channels),
                         dict(bbox_head, in_channels=out_channels), **kwargs)

    def loss(self, batch_inputs: Tensor, batch_data_samples: Sequence) -> dict:
        """See mmdet's ``SingleStageDetector``.

        Raises:
            ValueError: If a batch of one image comes where the last level, a map of one pixel, trains a normalisation.
        """
        last = self.neck.extra_layers[-1].modules()
        if len(batch_inputs) == 1 and any(isinstance(module, _BatchNorm) and module.training for module in last):
            raise ValueError('SSD cannot train on a batch of one image: its last feature map is a single pixel, and '
                             'batch normalisation needs two. Set train_dataloader.batch_size to 2 or more and '
                             'train_dataloader.drop_last=True, or model.norm_eval=True')
        return super().loss(batch_inputs, batch_data_samples)
