"""ESPNetv2's decoder, for any encoder (Section 5.3, Figure 9)."""
from collections.abc import Sequence

from mmengine.registry import MODELS
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn

from dicenet_mm.layers import EfficientPointWise, EfficientPyramidPool, UpsampleAdd

#: Channels of a pyramid pool's branch, at the least. The authors' half of the classes would be one for two classes.
MIN_POOLED = 4


@MODELS.register_module()
class ESPNetv2Head(BaseDecodeHead):
    """From the coarsest map to the finest: pool, enlarge, add the encoder's next map, pool again.

    Args:
        in_channels: Channels of the encoder's maps, the finest first.
        num_classes: Classes, and channels of the output.
        base_channels: b. Pools give 4b, 3b, 2b channels (the paper's 16 on VOC and Cityscapes), and the classes.
        init_cfg: Initialisation; convolutions start from Kaiming normal, fan-out, by default.
        loss_decode: As for mmseg; by default the cross entropy, averaged over the pixels that are not ignored.
        **kwargs: ``ignore_index`` and ``sampler`` of mmseg's ``BaseDecodeHead``.
    """

    def __init__(self, in_channels: Sequence[int], num_classes: int, base_channels: int = 16,
                 init_cfg: dict | None = None, loss_decode: dict | None = None, **kwargs):
        super().__init__(
            in_channels=tuple(in_channels), in_index=tuple(range(len(in_channels))), input_transform='multiple_select',
            channels=base_channels, num_classes=num_classes, out_channels=num_classes, dropout_ratio=0.,
            align_corners=True, loss_decode=loss_decode or dict(type='mmseg.CrossEntropyLoss', avg_non_ignore=True),
            init_cfg=init_cfg or dict(type='Kaiming', layer='Conv2d', mode='fan_out', nonlinearity='relu'), **kwargs)
        del self.conv_seg  # the last pool classifies
        *finer, coarsest = self.in_channels
        widths = [base_channels * factor for factor in range(len(in_channels), 1, -1)]
        pooled = max(MIN_POOLED, min(num_classes // 2, base_channels))
        self.pools = nn.ModuleList(EfficientPyramidPool(before, pooled, width)
                                   for before, width in zip((coarsest, *widths), widths))
        self.pools.append(EfficientPyramidPool(widths[-1], pooled, num_classes, is_last=True))
        self.skips = nn.ModuleList(EfficientPointWise(channels, width)
                                   for channels, width in zip(reversed(finer), widths))
        self.joins = nn.ModuleList(UpsampleAdd(width) for width in widths)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Maps (N, C_i, H_i, W_i), the finest first -> (N, num_classes, H_0, W_0)."""
        *finer, x = self._transform_inputs(inputs)
        for pool, skip, join, encoded in zip(self.pools, self.skips, self.joins, reversed(finer)):
            x = join(pool(x), skip(encoded))
        return self.pools[-1](x)
