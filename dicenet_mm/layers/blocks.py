"""The ShuffleNetV2 blocks that DiCENet stacks (Figure 4), with DiCE units in place of separable convolutions."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from .dice import DiCEUnit
from .units import LayerFactory, conv_norm_act


class DiCEBlock(nn.Module):
    """Stride 1: half of the channels pass through, the others take a 1x1 convolution and a DiCE unit; shuffle.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_sizes: (H_k, W_k) of the unit's height and width kernels, px.
        norm_layer: Makes a normalisation from a number of channels.
        act_layer: Makes an activation from a number of channels.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_sizes: tuple[int, int],
                 norm_layer: LayerFactory = nn.BatchNorm2d, act_layer: LayerFactory = nn.PReLU):
        super().__init__()
        layers = dict(norm_layer=norm_layer, act_layer=act_layer)
        passed = in_channels // 2
        channels = out_channels - passed
        self.split_sizes = (passed, in_channels - passed)
        self.branch = nn.Sequential(
            conv_norm_act(in_channels - passed, channels, 1, **layers),
            DiCEUnit(channels, channels, kernel_sizes, **layers))

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H, W)."""
        passed, x = x.split(self.split_sizes, dim=1)
        return _join(passed, self.branch(x))


class StridedDiCEBlock(nn.Module):
    """Stride 2, "strided DiCE": two branches over all channels, halving the map and doubling the channels; shuffle.

    Args:
        in_channels: Channels of the input; the output has twice as many.
        kernel_sizes: (H_k, W_k) of the unit's height and width kernels, px: the output's size.
        norm_layer: Makes a normalisation from a number of channels.
        act_layer: Makes an activation from a number of channels.
    """

    def __init__(self, in_channels: int, kernel_sizes: tuple[int, int],
                 norm_layer: LayerFactory = nn.BatchNorm2d, act_layer: LayerFactory = nn.PReLU):
        super().__init__()
        layers = dict(norm_layer=norm_layer, act_layer=act_layer)
        self.left = nn.Sequential(
            conv_norm_act(in_channels, in_channels, 3, stride=2, groups=in_channels, **layers),
            conv_norm_act(in_channels, in_channels, 1, **layers))
        self.right = nn.Sequential(
            nn.AvgPool2d(3, stride=2, padding=1),
            DiCEUnit(in_channels, in_channels, kernel_sizes, **layers),
            conv_norm_act(in_channels, in_channels, 1, **layers))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, 2C, ceil(H / 2), ceil(W / 2))."""
        return _join(self.left(x), self.right(x))


def _join(left: Tensor, right: Tensor) -> Tensor:
    """Concatenate the channels and shuffle(2) them: halves of equal width alternate, which takes a single copy."""
    if left.shape[1] == right.shape[1]:
        return torch.stack((left, right), dim=2).flatten(1, 2)
    return functional.channel_shuffle(torch.cat((left, right), dim=1), 2)
