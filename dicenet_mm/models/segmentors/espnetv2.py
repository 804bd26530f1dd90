"""Segmentation networks with ESPNetv2's decoder (Section 5.3)."""
import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS
from mmengine.structures import PixelData
from mmseg.models import EncoderDecoder
from PIL import Image
from torch import Tensor

from ..norm_eval import NormEval


@MODELS.register_module()
class ESPNetv2Segmentor(NormEval, EncoderDecoder):
    """mmseg's encoder and decoder, with a decoder that takes its channels from the backbone.

    So one value, ``backbone.widen_factor``, sets the width of the network.

    Args:
        backbone: Any backbone with ``out_channels``, the channels of each of its outputs, the finest map first.
        decode_head: An ``ESPNetv2Head`` without ``in_channels``.
        norm_eval: Whether every batch normalisation, of the decoder too, keeps its running statistics in training.
        test_cfg: As for mmseg, and ``resize_labels``: whether, as the paper's authors evaluate, classes are decided at
            the size that the network sees and then brought to the image's size by nearest neighbour. By default the
            scores are brought to that size, and the classes decided there.
        **kwargs: As for mmseg's ``EncoderDecoder``.
    """

    def __init__(self, backbone: dict, decode_head: dict, norm_eval: bool = False, test_cfg: dict | None = None,
                 **kwargs):
        with torch.device('meta'):
            in_channels = MODELS.build(backbone).out_channels
        self.norm_eval = norm_eval
        super().__init__(backbone=backbone, decode_head=dict(decode_head, in_channels=in_channels),
                         test_cfg=ConfigDict(test_cfg or dict(mode='whole')), **kwargs)

    def inference(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """See mmseg, which warns of every batch of images that had different sizes: only windows need the same."""
        if self.test_cfg.get('mode', 'whole') == 'whole':
            return self.whole_inference(inputs, batch_img_metas)
        return super().inference(inputs, batch_img_metas)

    def postprocess_result(self, seg_logits: Tensor, data_samples: list | None = None) -> list:
        """(N, classes, H, W) -> samples with ``pred_sem_seg`` (1, H, W) at the size of the original images."""
        if not self.test_cfg.get('resize_labels') or data_samples is None:
            return super().postprocess_result(seg_logits, data_samples)
        sizes = [sample.ori_shape for sample in data_samples]
        for sample in data_samples:
            sample.set_metainfo(dict(ori_shape=sample.img_shape))
        for sample, size in zip(super().postprocess_result(seg_logits, data_samples), sizes):
            rows, columns = (nearest(*extents) for extents in zip(sample.seg_logits.shape, size))
            scores = sample.seg_logits.data[:, rows[:, None], columns]
            sample.set_metainfo(dict(ori_shape=size))
            sample.set_data(dict(seg_logits=PixelData(data=scores),
                                 pred_sem_seg=PixelData(data=scores.argmax(dim=0, keepdim=True))))
        return data_samples


def nearest(extent: int, size: int) -> Tensor:
    """Of an axis of ``extent`` px, the pixels that Pillow's nearest neighbour makes ``size`` px of."""
    ramp = Image.fromarray(np.arange(extent, dtype=np.int32)[None])
    return torch.from_numpy(np.array(ramp.resize((size, 1), Image.Resampling.NEAREST))[0]).long()
