"""The ShuffleNetV2 blocks that DiCENet stacks (Figure 4), with DiCE units in place of separable convolutions."""
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from dicenet_mm.inference.fused_op import FusedOp
from dicenet_mm.inference.torch_layers import folded, packed_point
from dicenet_mm.ops import inference

from .dice import DiCEUnit
from .units import LayerFactory, conv_norm_act


class ShuffleBlock(nn.Module):
    """Stride 1: the first channels pass through, the others take a branch; concatenate, shuffle(2).

    Args:
        split_sizes: Numbers of channels that pass through, and that the branch takes.
        branch: Keeps the size of the map.
    """

    def __init__(self, split_sizes: tuple[int, int], branch: nn.Module):
        super().__init__()
        self.split_sizes = split_sizes
        self.branch = branch

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, passed + channels of the branch, H, W)."""
        passed, x = x.split(self.split_sizes, dim=1)
        return _join(passed, self.branch(x))


class StridedShuffleBlock(nn.Module):
    """Stride 2: two branches over all channels, both halving the map; concatenate, shuffle(2)."""

    def __init__(self, left: nn.Module, right: nn.Module):
        super().__init__()
        self.left = left
        self.right = right

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, channels of both branches, ceil(H / 2), ceil(W / 2))."""
        return _join(self.left(x), self.right(x))


class DiCEBlock(ShuffleBlock):
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
        layers = dict(norm_layer=norm_layer, act_layer=act_layer)
        passed = in_channels // 2
        channels = out_channels - passed
        super().__init__((passed, in_channels - passed), nn.Sequential(
            conv_norm_act(in_channels - passed, channels, 1, **layers),
            DiCEUnit(channels, channels, kernel_sizes, **layers)))

    def packed(self) -> list[Tensor] | None:
        """A block's tensors, as :func:`dicenet_mm.ops.inference.pack_stage` takes them, or None if it cannot."""
        return _joined(packed_point(self.branch[0]), self.branch[1].packed())

    def fused(self) -> FusedOp | None:
        """The inference form, or None if there is none."""
        return fused_stage([self])


class StridedDiCEBlock(StridedShuffleBlock):
    """Stride 2, "strided DiCE": two branches over all channels, halving the map and doubling the channels; shuffle.

    Args:
        in_channels: Channels of the input; the output has twice as many.
        kernel_sizes: (H_k, W_k) of the unit's height and width kernels, px: the output's size.
        norm_layer: Makes a normalisation from a number of channels.
        act_layer: Makes an activation from a number of channels.
    """

    def __init__(self, in_channels: int, kernel_sizes: tuple[int, int],
                 norm_layer: LayerFactory = nn.BatchNorm2d, act_layer: LayerFactory = nn.PReLU):
        layers = dict(norm_layer=norm_layer, act_layer=act_layer)
        left = nn.Sequential(
            conv_norm_act(in_channels, in_channels, 3, stride=2, groups=in_channels, **layers),
            conv_norm_act(in_channels, in_channels, 1, **layers))
        right = nn.Sequential(
            nn.AvgPool2d(3, stride=2, padding=1),
            DiCEUnit(in_channels, in_channels, kernel_sizes, **layers),
            conv_norm_act(in_channels, in_channels, 1, **layers))
        super().__init__(left, right)

    def packed(self) -> list[Tensor] | None:
        """A strided block's tensors, likewise."""
        left = folded(*self.left[0])
        return _joined(left and [inference.pack_spatial(*left)], packed_point(self.left[1]), self.right[1].packed(),
                       packed_point(self.right[2]))

    def fused(self) -> FusedOp | None:
        """The inference form, or None if there is none."""
        return fused_stage([self])


def fused_stage(layers: Sequence[nn.Module]) -> FusedOp | None:
    """The inference form of a :class:`StridedDiCEBlock` or none and :class:`DiCEBlock` after it, as one operator.

    Returns:
        None if there is another layer among them, or one that has no inference form.
    """
    kinds = [type(layer) for layer in layers]
    starts = kinds[:1] == [StridedDiCEBlock]
    if not kinds or set(kinds[starts:]) - {DiCEBlock}:
        return None
    packs = [layer.packed() for layer in layers]
    if None in packs:
        return None
    weights, strided, sizes = inference.pack_stage(packs[0] if starts else [], packs[starts:])
    return FusedOp('dice_stage', [weights], [strided, *sizes])


def _joined(*packs: list[Tensor] | None) -> list[Tensor] | None:
    return None if None in packs else [tensor for pack in packs for tensor in pack]


def _join(left: Tensor, right: Tensor) -> Tensor:
    """Concatenate the channels and shuffle(2) them: halves of equal width alternate, which takes a single copy."""
    if left.shape[1] == right.shape[1]:
        return torch.stack((left, right), dim=2).flatten(1, 2)
    return functional.channel_shuffle(torch.cat((left, right), dim=1), 2)
