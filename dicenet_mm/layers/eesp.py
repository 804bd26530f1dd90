"""The EESP unit of ESPNetv2: depth-wise dilated convolutions side by side, each adding up those before it.

Mehta, Rastegari, Shapiro, Hajishirzi: "ESPNetv2: A Light-weight, Power Efficient, and General Purpose Convolutional
Neural Network".
"""
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .units import LayerFactory, NormAct, conv_norm_act


class EESP(nn.Module):
    """Reduce, transform in branches of growing dilation, expand; ends with a normalisation.

    Args:
        in_channels: Channels of the input, a multiple of the number of branches.
        out_channels: Channels of the output, likewise.
        dilations: Of each branch, ascending: their number is the groups of both 1x1 convolutions, too.
        stride: Of the dilated convolutions.
        norm_layer: Makes a normalisation from a number of channels.
        act_layer: Makes an activation from a number of channels.
    """

    def __init__(self, in_channels: int, out_channels: int, dilations: Sequence[int], stride: int = 1,
                 norm_layer: LayerFactory = nn.BatchNorm2d, act_layer: LayerFactory = nn.PReLU):
        super().__init__()
        groups = len(dilations)
        width = out_channels // groups
        self.reduce = conv_norm_act(in_channels, width, 1, groups=groups, norm_layer=norm_layer, act_layer=act_layer)
        self.branches = nn.ModuleList(
            nn.Conv2d(width, width, 3, stride, dilation, dilation, groups=width, bias=False) for dilation in dilations)
        self.norm_act = NormAct(out_channels, norm_layer, act_layer)
        self.expand = conv_norm_act(out_channels, out_channels, 1, groups=groups, norm_layer=norm_layer,
                                    act_layer=nn.Identity)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride))."""
        x = self.reduce(x)
        outs = []
        for branch in self.branches:  # summed up against the grid pattern of dilated convolutions
            out = branch(x)
            outs.append(out + outs[-1] if outs else out)
        return self.expand(self.norm_act(torch.cat(outs, dim=1)))


class EESPBlock(nn.Module):
    """Stride 1: the input plus its :class:`EESP`, and an activation.

    Args:
        channels: Of input and output.
        dilations: As for :class:`EESP`.
        norm_layer: Makes a normalisation from a number of channels.
        act_layer: Makes an activation from a number of channels.
    """

    def __init__(self, channels: int, dilations: Sequence[int], norm_layer: LayerFactory = nn.BatchNorm2d,
                 act_layer: LayerFactory = nn.PReLU):
        super().__init__()
        self.eesp = EESP(channels, channels, dilations, norm_layer=norm_layer, act_layer=act_layer)
        self.act = act_layer(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> the same shape."""
        return self.act(x + self.eesp(x))


class StridedEESPBlock(nn.Module):
    """Stride 2: pooled input and :class:`EESP` side by side, plus a shortcut from the image; an activation.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output, of which the first ``in_channels`` are the pooled input.
        dilations: As for :class:`EESP`.
        image_channels: Channels of the image; 0 for a block without the shortcut.
        norm_layer: Makes a normalisation from a number of channels.
        act_layer: Makes an activation from a number of channels.
    """

    def __init__(self, in_channels: int, out_channels: int, dilations: Sequence[int], image_channels: int = 3,
                 norm_layer: LayerFactory = nn.BatchNorm2d, act_layer: LayerFactory = nn.PReLU):
        super().__init__()
        self.pool = nn.AvgPool2d(3, stride=2, padding=1)
        self.eesp = EESP(in_channels, out_channels - in_channels, dilations, stride=2, norm_layer=norm_layer,
                         act_layer=act_layer)
        self.shortcut = nn.Sequential(
            conv_norm_act(image_channels, image_channels, 3, norm_layer=norm_layer, act_layer=act_layer),
            conv_norm_act(image_channels, out_channels, 1, norm_layer=norm_layer, act_layer=nn.Identity),
        ) if image_channels else None
        self.act = act_layer(out_channels)

    def forward(self, x: Tensor, image: Tensor | None = None) -> Tensor:
        """(N, in_channels, H, W), and the image at half this size, (N, 3, ceil(H / 2), ceil(W / 2)), if it has a
        shortcut -> (N, out_channels, ceil(H / 2), ceil(W / 2))."""
        x = torch.cat((self.pool(x), self.eesp(x)), dim=1)
        if self.shortcut is not None:
            x = x + self.shortcut(image)
        return self.act(x)
