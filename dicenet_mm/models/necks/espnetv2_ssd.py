"""The neck of ESPNetv2-SSD (Table VI), as ESPNetv2's authors built it."""
from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional

from dicenet_mm.layers import EfficientPyramidPool, conv_norm_act

#: Of the pyramid pools' branches: the coarsest level has two of them, and each finer one has one more, up to all four.
SCALES = (2.0, 1.0, 0.5, 0.25)


@MODELS.register_module()
class ESPNetv2SSDNeck(BaseModule):
    """Levels of stride 2 on top of the backbone's, a last one of a single pixel, and efficient pyramid pools downwards.

    An added level is a 3x3 depth-wise convolution of stride 2 and a 1x1 convolution; the last is the global average and
    a 1x1 convolution without normalisation. From the last but one downwards, each map is enlarged, concatenated before
    the next finer one, and pooled to the width of that one.

    Args:
        in_channels: Channels of the backbone's maps, the finest first.
        out_channels: Channels of the outputs: those of the backbone, then of the added levels, two or more.
        init_cfg: Initialisation; convolutions start from Kaiming normal, fan-out, by default.
    """

    def __init__(self, in_channels: Sequence[int], out_channels: Sequence[int], init_cfg: dict | None = None):
        super().__init__(init_cfg or dict(type='Kaiming', layer='Conv2d', mode='fan_out', nonlinearity='relu'))
        *added, last = out_channels[len(in_channels) - 1:]
        self.extra_layers = nn.ModuleList(
            nn.Sequential(conv_norm_act(before, before, 3, stride=2, groups=before), conv_norm_act(before, after, 1))
            for before, after in zip(added, added[1:]))
        self.extra_layers.append(nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(added[-1], last, 1, bias=False), nn.ReLU()))
        levels = out_channels[-2::-1]  # the coarsest first
        self.pools = nn.ModuleList(
            EfficientPyramidPool(coarse + fine, fine // 5, fine, scales=SCALES[:index + 2])
            for index, (coarse, fine) in enumerate(zip(levels, levels[1:])))

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps (N, C_i, H_i, W_i), the finest first -> as many (N, C_i, H_i, W_i), and those of the added levels."""
        maps = list(inputs)
        for layer in self.extra_layers:
            maps.append(layer(maps[-1]))
        *finer, coarse, last = maps
        outs = [last, coarse]
        for pool, fine in zip(self.pools, reversed(finer)):
            enlarged = functional.interpolate(outs[-1], fine.shape[2:], mode='bilinear', align_corners=True)
            outs.append(pool(torch.cat((enlarged, fine), dim=1)))
        return tuple(reversed(outs))
