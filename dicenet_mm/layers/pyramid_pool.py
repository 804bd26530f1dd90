"""Layers of ESPNetv2's decoder, which the paper's segmentation networks use too (Section 5.3, Figure 9)."""
from collections.abc import Sequence
from math import ceil, gcd

import torch
from torch import Tensor, nn
from torch.nn import functional

from dicenet_mm.inference.fused_op import FusedOp, in_float32
from dicenet_mm.inference.torch_layers import folded, fused_conv_act, scale_shift, slope_of
from dicenet_mm.ops import inference

from .units import LayerFactory, NormAct, conv_norm_act

SCALES = (2.0, 1.5, 1.0, 0.5, 0.1)
MIN_SIDE = 5  # px of a branch's map


class EfficientPyramidPool(nn.Module):
    """Efficient pyramid pooling: depth-wise 3x3 convolutions at several scales of the map, side by side.

    A branch resizes the map to its scale, at least 5 px a side, convolves it, and resizes the result back.

    Args:
        in_channels: Channels of the input.
        channels: Channels of each branch.
        out_channels: Channels of the output.
        is_last: Whether a bias takes the place of the normalisation and the activation at the end.
        scales: Of the branches.
        norm_layer: Makes a normalisation from a number of channels.
        act_layer: Makes an activation from a number of channels.
    """

    def __init__(self, in_channels: int, channels: int, out_channels: int, is_last: bool = False,
                 scales: Sequence[float] = SCALES, norm_layer: LayerFactory = nn.BatchNorm2d,
                 act_layer: LayerFactory = nn.PReLU):
        super().__init__()
        layers = dict(norm_layer=norm_layer, act_layer=act_layer)
        self.scales = tuple(scales)
        self.project = conv_norm_act(in_channels, channels, 1, **layers)
        self.branches = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False) for _ in scales)
        self.norm_act = NormAct(len(scales) * channels, **layers)
        self.merge = conv_norm_act(len(scales) * channels, channels, 3, groups=channels, **layers)
        self.out = (nn.Conv2d(channels, out_channels, 1) if is_last else
                    conv_norm_act(channels, out_channels, 1, **layers))

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H, W)."""
        x = self.project(x)
        size = x.shape[2:]
        outs = []
        for scale, branch in zip(self.scales, self.branches):
            outs.append(resize(branch(resize(x, branch_size(size, scale))), size))
        # each group of the merging convolution sees one channel at every scale
        x = functional.channel_shuffle(self.norm_act(torch.cat(outs, dim=1)), len(outs))
        return self.out(self.merge(x))

    def fused(self) -> 'FusedPyramidPool | None':
        """The inference form, or None if there is none."""
        norm, act = self.norm_act
        affine, merge, project = scale_shift(norm), folded(*self.merge), self.project.fused()
        slope = affine and slope_of(act, affine[0])
        out = fused_conv_act(self.out, nn.Identity()) if isinstance(self.out, nn.Conv2d) else self.out.fused()
        if slope is None or not (merge and project and out):
            return None
        count = len(self.branches)
        branches = [(conv.weight * scale.view(-1, 1, 1, 1), shift, slope) for conv, scale, shift, slope in zip(
            self.branches, *(value.chunk(count) for value in (*affine, slope)))]
        pool = FusedOp('pyramid_pool', [inference.pack_pyramid_pool(branches, merge)])
        return FusedPyramidPool(project, pool, out, self.scales)


class FusedPyramidPool(nn.Module):
    """Inference form of :class:`EfficientPyramidPool`.

    The merging convolution has one output for each channel of the branches: it is the sum of a depth-wise convolution
    of each branch, so that channels never meet, and each goes through the whole pool before the next. The branches'
    normalisation is folded into the convolutions before it, since resizing keeps scale and shift.
    """

    def __init__(self, project: FusedOp, pool: FusedOp, out: FusedOp, scales: Sequence[float]):
        super().__init__()
        self.project = project
        self.pool = pool
        self.out = out
        self.scales = scales

    @in_float32
    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H, W)."""
        sizes = [side for scale in self.scales for side in branch_size(x.shape[2:], scale)]
        return self.out(self.pool(self.project(x), sizes=sizes))


class EfficientPointWise(nn.Module):
    """Efficient point-wise layer: a grouped 3x3 convolution, scaled by a gate that sees all channels of the mean.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        norm_layer: Makes a normalisation from a number of channels.
        act_layer: Makes an activation from a number of channels.
    """

    def __init__(self, in_channels: int, out_channels: int, norm_layer: LayerFactory = nn.BatchNorm2d,
                 act_layer: LayerFactory = nn.PReLU):
        super().__init__()
        self.expand = conv_norm_act(in_channels, out_channels, 3, groups=gcd(in_channels, out_channels),
                                    norm_layer=norm_layer, act_layer=act_layer)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(in_channels, out_channels, 1, bias=False),
            nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H, W)."""
        return self.expand(x) * self.gate(x)

    def fused(self) -> 'FusedPointWise | None':
        """The inference form, or None if there is none."""
        expand = folded(*self.expand)
        if not expand:
            return None
        conv = FusedOp('gated_conv', inference.pack_groups(*expand, self.expand[0].groups))
        return FusedPointWise(conv, fused_conv_act(self.gate[1], nn.Identity()))


class FusedPointWise(nn.Module):
    """Inference form of :class:`EfficientPointWise`, with the product in the convolution."""

    def __init__(self, expand: FusedOp, gate: FusedOp):
        super().__init__()
        self.expand = expand
        self.mean = FusedOp('global_average_pool')
        self.gate = gate

    @in_float32
    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H, W)."""
        return self.expand(x, self.gate(self.mean(x)).sigmoid())


class UpsampleAdd(NormAct):
    """The coarser map, enlarged, plus the finer one; normalisation and an activation."""

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """(N, channels, h, w) and (N, channels, H, W) -> (N, channels, H, W)."""
        return super().forward(
            functional.interpolate(coarse, fine.shape[2:], mode='bilinear', align_corners=True) + fine)

    def fused(self) -> FusedOp | None:
        """The inference form, or None if there is none."""
        affine = scale_shift(self[0])
        slope = affine and slope_of(self[1], affine[0])
        return None if slope is None else FusedOp('upsample_add', [torch.stack((*affine, slope - 1), dim=1)])


def branch_size(size: Sequence[int], scale: float) -> list[int]:
    """Height and width of the map in a branch, px."""
    return [max(ceil(side * scale), MIN_SIDE) for side in size]


def resize(x: Tensor, size: Sequence[int]) -> Tensor:
    """Resize a map: linear interpolation between aligned corners where an axis grows, averages where it shrinks.

    Args:
        x: (N, C, H, W).
        size: The new height and width, px.

    Returns:
        (N, C, *size); ``x`` itself where it has that size already.
    """
    grown = torch.Size(max(pair) for pair in zip(x.shape[2:], size))
    if grown != x.shape[2:]:
        x = functional.interpolate(x, grown, mode='bilinear', align_corners=True)
    return x if x.shape[2:] == torch.Size(size) else functional.adaptive_avg_pool2d(x, size)
