"""Dimension-wise convolution from PyTorch's own operators.

It serves every size, dtype, device and dilation. Faster kernels are measured against it, and it takes over where they
do not apply.
"""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def dim_conv(x: Tensor, depth_weight: Tensor, height_weight: Tensor, width_weight: Tensor,
             dilation: int = 1) -> Tensor:
    """See :func:`dicenet_mm.ops.dim_conv`; shapes are taken as checked."""
    height, width = x.shape[2:]
    depth_wise = _conv_planes(x, depth_weight, dilation)
    rows = resize_axis(x, 2, height_weight.shape[0]).transpose(1, 2)  # (N, H_k, D, W)
    height_wise = resize_axis(_conv_planes(rows, height_weight, dilation).transpose(1, 2), 2, height)
    columns = resize_axis(x, 3, width_weight.shape[0]).permute(0, 3, 1, 2)  # (N, W_k, D, H)
    width_wise = resize_axis(_conv_planes(columns, width_weight, dilation).permute(0, 2, 3, 1), 3, width)
    return torch.stack((depth_wise, height_wise, width_wise), dim=2).flatten(1, 2)


def _conv_planes(x: Tensor, weight: Tensor, dilation: int) -> Tensor:
    """Convolve plane ``i`` of (N, I, A, B) with kernel ``i`` of (I, n, n), zero-padded to the same size."""
    padding = dilation * (weight.shape[-1] // 2)
    return F.conv2d(x, weight.unsqueeze(1), padding=padding, dilation=dilation, groups=weight.shape[0])


def resize_axis(x: Tensor, axis: int, size: int) -> Tensor:
    """Resize one axis: linear interpolation between aligned corners to grow, adaptive averaging to shrink.

    Args:
        x: (N, C, H, W).
        axis: 2 for the height, 3 for the width.
        size: The new extent of that axis, px.

    Returns:
        ``x`` itself where the axis has that extent already, else a new tensor.
    """
    if x.shape[axis] == size:
        return x
    shape = (size, x.shape[3]) if axis == 2 else (x.shape[2], size)
    if x.shape[axis] < size:
        return F.interpolate(x, shape, mode='bilinear', align_corners=True)
    return F.adaptive_avg_pool2d(x, shape)


def macs(x: Sequence[int], height_weight: Sequence[int], width_weight: Sequence[int]) -> tuple[int, int, int]:
    """Multiply-adds of the depth, height and width branches, at the sizes that their kernels work on."""
    n, d, h, w = x
    return 9 * n * d * h * w, 9 * n * d * height_weight[0] * w, 9 * n * d * h * width_weight[0]
