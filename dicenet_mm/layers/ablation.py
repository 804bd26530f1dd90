"""The units and blocks that the paper compares (Figure 4, Tables I to III)."""
from math import gcd

from torch import Tensor, nn
from torchvision.ops import SqueezeExcitation

from .blocks import ShuffleBlock, StridedShuffleBlock
from .dice import DiCEUnit, DimConv, DimFuse
from .units import LayerFactory, conv_norm_act

CONVS = ('dwise', 'dimconv')
FUSIONS = ('pointwise', 'SE', 'pointwise+SE', 'dimfuse')
#: The units of Table II: how each channel is convolved, and how the channels are then combined.
UNITS = tuple(f'{conv}+{fusion}' for conv in CONVS for fusion in FUSIONS)
#: The first layers of a block in Table III.
FIRST_LAYERS = ('pointwise', 'dimfuse')


def make_unit(name: str, in_channels: int, out_channels: int, kernel_sizes: tuple[int, int], stride: int = 1, *,
              norm_layer: LayerFactory = nn.BatchNorm2d, act_layer: LayerFactory = nn.PReLU) -> nn.Module:
    """A unit by its name: ``'dwise+pointwise'`` is the separable convolution, ``'dimconv+dimfuse'`` the DiCE unit.

    Depth-wise convolutions stride by themselves; before DimConv an average pool does, as in the strided DiCE unit.
    Of the fusions, ``pointwise`` is a dense 1x1 convolution of all responses (of DimConv: 3 to a channel), ``SE`` is
    squeeze-and-excitation, where responses that are not as many as the output's channels are first joined in as many
    groups as divide both.

    Args:
        name: One of :data:`UNITS`.
        in_channels: D, at least 4.
        out_channels: D_out.
        kernel_sizes: (H_k, W_k) of DimConv's height and width kernels, px.
        stride: 1 or 2.
        norm_layer: Makes a normalisation from a number of channels.
        act_layer: Makes an activation from a number of channels.

    Returns:
        A module, (N, D, H, W) -> (N, D_out, ceil(H / stride), ceil(W / stride)).

    Raises:
        ValueError: If there is no unit of that name.

    Example:
        >>> import torch
        >>> make_unit('dwise+SE', 16, 16, (28, 28))(torch.rand(2, 16, 28, 28)).shape
        torch.Size([2, 16, 28, 28])
    """
    _require(name, UNITS, 'unit')
    layers = dict(norm_layer=norm_layer, act_layer=act_layer)
    conv, _, fusion = name.partition('+')
    if conv == 'dwise':
        responses = 1
        parts = [conv_norm_act(in_channels, in_channels, 3, stride=stride, groups=in_channels, **layers)]
    else:
        responses = 3
        parts = [nn.AvgPool2d(3, stride=2, padding=1)] if stride == 2 else []
        if fusion == 'dimfuse':  # as the one module that the fused operators know
            return nn.Sequential(*parts, DiCEUnit(in_channels, out_channels, kernel_sizes, **layers))
        parts += [DimConv(in_channels, kernel_sizes), norm_layer(3 * in_channels), act_layer(3 * in_channels)]
    if fusion == 'dimfuse':
        return nn.Sequential(*parts, DimFuse(in_channels, out_channels, responses=responses, **layers))
    channels = responses * in_channels
    if fusion != 'SE':
        parts.append(conv_norm_act(channels, out_channels, 1, **layers))
    elif channels != out_channels:
        parts.append(conv_norm_act(channels, out_channels, 1, groups=gcd(channels, out_channels), **layers))
    if fusion != 'pointwise':
        parts.append(SqueezeExcitation(out_channels, out_channels // 4))
    return nn.Sequential(*parts)


def make_first_layer(name: str, in_channels: int, out_channels: int, norm_layer: LayerFactory = nn.BatchNorm2d,
                     act_layer: LayerFactory = nn.PReLU) -> nn.Module:
    """The layer before a block's unit, (N, in_channels, H, W) -> (N, out_channels, H, W).

    Args:
        name: One of :data:`FIRST_LAYERS`: a 1x1 convolution, or DimFuse, here of one response to each channel.
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        norm_layer: Makes a normalisation from a number of channels.
        act_layer: Makes an activation from a number of channels.

    Raises:
        ValueError: If there is no first layer of that name.
    """
    _require(name, FIRST_LAYERS, 'first layer')
    layers = dict(norm_layer=norm_layer, act_layer=act_layer)
    if name == 'dimfuse':
        return DimFuse(in_channels, out_channels, responses=1, **layers)
    return conv_norm_act(in_channels, out_channels, 1, **layers)


class BottleneckBlock(nn.Module):
    """The ResNet block with a unit as its 3x3 layer: first layer, unit, 1x1 convolution, residual.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_sizes: (H_k, W_k) of the unit's height and width kernels, px.
        stride: 1 or 2, of the unit, and of a 1x1 convolution in the shortcut where the shapes differ.
        unit: One of :data:`UNITS`.
        first: One of :data:`FIRST_LAYERS`.
        expansion: The unit's width as a multiple of a quarter of ``out_channels``.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_sizes: tuple[int, int], stride: int = 1, *,
                 unit: str, first: str = 'pointwise', expansion: int = 1):
        super().__init__()
        channels = expansion * out_channels // 4
        self.branch = nn.Sequential(
            make_first_layer(first, in_channels, channels),
            make_unit(unit, channels, channels, kernel_sizes, stride),
            nn.Conv2d(channels, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels))
        self.shortcut = nn.Identity() if stride == 1 and in_channels == out_channels else nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False),
            nn.BatchNorm2d(out_channels))
        self.act = nn.PReLU(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride))."""
        return self.act(self.branch(x) + self.shortcut(x))


def make_shuffle_block(in_channels: int, out_channels: int, kernel_sizes: tuple[int, int], stride: int = 1, *,
                       unit: str, first: str = 'pointwise', expansion: int = 1) -> nn.Module:
    """The ShuffleNetV2 block with a unit in place of its separable convolution.

    Args:
        in_channels: Channels of the input; with stride 1 as many as ``out_channels``.
        out_channels: Channels of the output, even.
        kernel_sizes: (H_k, W_k) of the unit's height and width kernels, px.
        stride: 1 or 2.
        unit: One of :data:`UNITS`.
        first: One of :data:`FIRST_LAYERS`.
        expansion: The unit's width as a multiple of half of ``out_channels``.

    Returns:
        A module, (N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride)).
    """
    half = out_channels // 2
    branch_channels = in_channels if stride == 2 else half
    branch = nn.Sequential(
        make_first_layer(first, branch_channels, expansion * half),
        make_unit(unit, expansion * half, half, kernel_sizes, stride))
    if stride == 1:
        return ShuffleBlock((half, half), branch)
    return StridedShuffleBlock(
        nn.Sequential(
            conv_norm_act(in_channels, in_channels, 3, stride=2, groups=in_channels),
            conv_norm_act(in_channels, half, 1)),
        branch)


def _require(name: str, names: tuple[str, ...], what: str) -> None:
    if name not in names:
        raise ValueError(f'there is no {what} {name!r}: choose one of {", ".join(names)}')
