"""Operators of inference, whose weights have normalisation folded in and are packed for the kernels.

A *point-wise convolution* is two tensors: its weights in tiles of 16 output channels (tiles, C_in, 16), and
(C_out, 2) with the bias and the PReLU's slope less one of each channel; a grouped one is two for each group.

A *DiCE unit* is one tensor (:func:`pack_unit`) of seven: the kernels of :func:`dicenet_mm.ops.dim_conv`, ``local``
(D, 12), ``spatial`` (D, 12), and the gate's two matrices (hidden, D) and (D, hidden). A row of ``local`` holds p, r, m
of the three branches, each of which adds ``p u + r min(u, m)`` to the fused response, then the bias and the slope less
one. A row of ``spatial`` holds nine taps, the bias and the slope less one. Unused entries are zero. A *stage* is one
tensor too (:func:`pack_stage`): a pass at batch 1 would spend a good part of its time on handing hundreds of them over.

Each operator takes and returns fresh float tensors. On a CPU with the compiled operators it is one call of them (the
unit also on CUDA); elsewhere, and where gradients are wanted, PyTorch's own operators serve with the same weights.
"""
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from . import library, rows
from .dim_conv import dim_conv
from .reference import resize_axis

ROWS = 16  # of a tile of point-wise weights
LATER_SLOPE = 11  # place of a slope less one in the parameters of a depth-wise convolution, of a PReLU that comes later
UNIT_DEVICES = library.UNIT_DEVICES


def pack_point(weight: Tensor, bias: Tensor, slope: Tensor) -> list[Tensor]:
    """Pack a convolution (C_out, C_in, n, n) with bias and PReLU slope, both (C_out,), as a point-wise one."""
    channels = weight.shape[0]
    rows = F.pad(weight.flatten(1), (0, 0, 0, -channels % ROWS))
    return [rows.unflatten(0, (-1, ROWS)).transpose(1, 2).contiguous(), torch.stack((bias, slope - 1), dim=1)]


def unpack_point(point: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Weight (C_out, C_in n n), bias and slope less one of a packed convolution, a group below the other."""
    if by_rows(point):
        return point[0], *point[1].unbind(1)
    affine = torch.cat(tuple(point[1::2]))
    weight = torch.cat([w.transpose(1, 2).flatten(0, 1)[:len(a)] for w, a in zip(point[::2], point[1::2])])
    return weight, affine[:, 0], affine[:, 1]


def by_rows(point: Sequence[Tensor]) -> bool:
    """Whether a convolution is packed as :mod:`dicenet_mm.ops.rows` does it."""
    return point[0].dim() == 2


def pack_groups(weight: Tensor, bias: Tensor, slope: Tensor, groups: int) -> list[Tensor]:
    """Pack a grouped convolution (C_out, C_in / groups, n, n)."""
    parts = zip(*(value.chunk(groups) for value in (weight, bias, slope)))
    return [tensor for part in parts for tensor in pack_point(*part)]


def pack_spatial(weight: Tensor, bias: Tensor, slope: Tensor) -> Tensor:
    """Pack a depth-wise 3x3 convolution (D, 1, 3, 3) with bias and PReLU slope, both (D,)."""
    return F.pad(torch.cat((weight.flatten(1), bias[:, None], slope[:, None] - 1), dim=1), (0, 1))


def unpack_spatial(spatial: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Weight (D, 9), bias and slope less one of a packed depth-wise convolution."""
    return spatial[0][:, :9], spatial[0][:, 9], spatial[0][:, 10]


def pack_pyramid_pool(branches: Sequence[tuple[Tensor, Tensor, Tensor]],
                      merge: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Pack the depth-wise convolutions of an efficient pyramid pool as :func:`pyramid_pool` takes them.

    Args:
        branches: Of each branch its kernels (D, 1, 3, 3), its bias and the slope of the PReLU after resizing back, both
            (D,).
        merge: Of the merging convolution its kernels (D, branches, 3, 3), its bias and its PReLU's slope, (D,).

    Returns:
        (D, branches, 2, 12): of each branch its convolution, then its part of the merging one, of which the first
        holds the bias; each as :func:`pack_spatial` does it, without a PReLU of its own.
    """
    def pack(weight, bias, later_slope):
        packed = pack_spatial(weight, bias, torch.ones_like(bias))
        packed[:, LATER_SLOPE] = later_slope - 1
        return packed

    weight, bias, slope = merge
    merges = [pack(weight[:, i], bias if i == 0 else 0 * bias, slope) for i in range(len(branches))]
    return torch.stack((torch.stack([pack(*branch) for branch in branches], dim=1), torch.stack(merges, dim=1)), dim=2)


def pack_local(scale: Tensor, shift: Tensor, slope: Tensor, weight: Tensor, bias: Tensor,
               local_slope: Tensor) -> Tensor:
    """Pack what follows dim_conv: ``y = PReLU(sum over the branches of weight * PReLU(scale u + shift) + bias)``.

    Args:
        scale: (D, 3), of the normalisation.
        shift: (D, 3), of the normalisation.
        slope: (D, 3), of the PReLU after it.
        weight: (D, 3), of the local fusion.
        bias: (D,), of the local fusion.
        local_slope: (D,), of the PReLU after it.
    """
    # PReLU(v) = v + (a - 1) min(v, 0), and with the knee k = -t / s, min(s u + t, 0) is s min(u, k) + t for s > 0 and
    # s u - s min(u, k) for s < 0. Where there is no scale to speak of, the branch is a constant.
    scale, shift, slope, weight = (value.double() for value in (scale, shift, slope, weight))
    dead = scale.abs() < 1e-20
    down = scale < 0
    p = (weight * scale * torch.where(down, slope, 1)).masked_fill(dead, 0)
    r = (weight * scale.abs() * (slope - 1)).masked_fill(dead, 0)
    knee = -shift / scale.masked_fill(dead, 1)
    constant = weight * shift * torch.where(torch.where(dead, shift > 0, down), 1, slope)
    terms = torch.stack((p, r, knee), dim=2).flatten(1)
    local = torch.cat((terms, (bias + constant.sum(1))[:, None], local_slope[:, None] - 1), dim=1)
    return F.pad(local, (0, 1)).float()


def pack_unit(unit: Sequence[Tensor]) -> tuple[Tensor, list[int]]:
    """Pack the seven tensors of a unit as :func:`dice_unit` takes them.

    Returns:
        All of them one after the other, each filled up to a multiple of 16 elements; and D, H_k, W_k, hidden. After the
        kernels come two tables of the taps of each voxel, (9, H_k W_k), for maps of the kernels' size.
    """
    sizes = [len(unit[0]), len(unit[1]), len(unit[2]), len(unit[5])]
    _, height, width, _ = sizes
    tables = [unit[1].reshape(height, 1, 9).expand(-1, width, -1), unit[2].reshape(1, width, 9).expand(height, -1, -1)]
    tables = [F.pad(table.reshape(-1, 9).T, (0, -height * width % ROWS)) for table in tables]
    return _flat([*unit[:3], *tables, *unit[3:]]), sizes


def pack_stage(strided: Sequence[Tensor], blocks: Sequence[Sequence[Tensor]]) -> tuple[Tensor, bool, list[int]]:
    """Pack blocks in a row as :func:`dice_stage` takes them.

    Args:
        strided: The 12 tensors of a strided block: ``left`` (packed as ``spatial``), a point-wise convolution, a unit,
            a point-wise convolution. Or none.
        blocks: The 9 tensors of each block: a point-wise convolution, a unit.

    Returns:
        All of them one after the other, as :func:`pack_unit` does it; whether there is a strided block; its channels,
        those of ``left``'s and of the unit's point-wise convolution, and between these H_k, W_k and hidden; then the
        channels in and out, H_k, W_k and hidden of each block.
    """
    tensors, sizes = [], []
    if strided:
        left, left_point, (unit, (channels, *kernels)), right_point = (strided[0], strided[1:3],
                                                                       pack_unit(strided[3:10]), strided[10:])
        tensors += [left, *left_point, unit, *right_point]
        sizes += [channels, len(left_point[1]), *kernels, len(right_point[1])]
    for block in blocks:
        unit, (channels, *kernels) = pack_unit(block[2:])
        tensors += [*block[:2], unit]
        sizes += [block[0].shape[1], channels, *kernels]
    return _flat(tensors), bool(strided), sizes


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([F.pad(tensor.flatten(), (0, -tensor.numel() % ROWS)) for tensor in tensors])


def take(weights: Tensor, *shapes: Sequence[int]) -> tuple[list[Tensor], Tensor]:
    """The first tensors of a flat one, and what is left of it."""
    tensors = []
    for shape in shapes:
        count = math.prod(shape)
        tensors.append(weights[:count].view(shape))
        weights = weights[count + -count % ROWS:]
    return tensors, weights


def filled(shape: Sequence[int]) -> int:
    """Elements of a packed tensor of this shape, filled up to a multiple of 16."""
    return math.prod(shape) + -math.prod(shape) % ROWS


def point_shapes(c_in: int, c_out: int) -> tuple[Sequence[int], ...]:
    return (-(-c_out // ROWS), c_in, ROWS), (c_out, 2)


def unit_shapes(depth: int, height: int, width: int, hidden: int) -> tuple[Sequence[int], ...]:
    table = 9, height * width + -height * width % ROWS
    return ((depth, 3, 3), (height, 3, 3), (width, 3, 3), table, table, (depth, 12), (depth, 12), (hidden, depth),
            (depth, hidden))


def point_wise(x: Tensor, point: Sequence[Tensor]) -> Tensor:
    """1x1 convolution, bias and PReLU: (N, C_in, H, W) -> (N, C_out, H, W)."""
    if by_rows(point):
        return rows.conv_prelu(x, *point, 1)
    if library.is_supported('point_wise', x):
        return torch.ops.dicenet_mm.point_wise.default(x, point)
    return _grouped(x, point, 1)


def _grouped(x: Tensor, point: Sequence[Tensor], size: int) -> Tensor:
    weight, bias, slope_minus_one = unpack_point(point)
    weight = weight.unflatten(1, (-1, size, size))
    return _prelu(F.conv2d(x, weight, bias, padding=size // 2, groups=len(point) // 2), slope_minus_one)


def grouped_conv(x: Tensor, point: Sequence[Tensor], gate: Tensor | None = None) -> Tensor:
    """3x3 convolution in groups, bias and PReLU, times a gate: (N, C_in, H, W) -> (N, C_out, H, W).

    Args:
        x: (N, C_in, H, W).
        point: Packed by :func:`pack_groups`.
        gate: (N, C_out, 1, 1).
    """
    if by_rows(point):
        y = rows.conv_prelu(x, *point, 3)
        return y if gate is None else y * gate
    if library.is_supported('grouped_conv', x):
        return torch.ops.dicenet_mm.grouped_conv.default(x, point, gate)
    y = _grouped(x, point, 3)
    return y if gate is None else y * gate


def strided_conv(x: Tensor, point: Sequence[Tensor]) -> Tensor:
    """3x3 convolution with stride 2, bias and PReLU: (N, C_in, H, W) -> (N, C_out, ceil(H / 2), ceil(W / 2)).

    The windows are taken as 9 C_in channels of a point-wise convolution.
    """
    if by_rows(point):
        return rows.conv_prelu(x, *point, 3, stride=2)
    if library.is_supported('strided_conv', x):
        return torch.ops.dicenet_mm.strided_conv.default(x, point)
    weight, bias, slope_minus_one = unpack_point(point)
    return _prelu(F.conv2d(x, weight.unflatten(1, (-1, 3, 3)), bias, stride=2, padding=1), slope_minus_one)


def max_pool(x: Tensor) -> Tensor:
    """3x3 max pooling with stride 2: (N, C, H, W) -> (N, C, ceil(H / 2), ceil(W / 2))."""
    if library.is_supported('max_pool', x):
        return torch.ops.dicenet_mm.max_pool.default(x)
    return F.max_pool2d(x, 3, stride=2, padding=1)


def average_pool(x: Tensor) -> Tensor:
    """3x3 average pooling with stride 2, zeros around the map counting: shapes as of :func:`max_pool`."""
    if library.is_supported('average_pool', x):
        return torch.ops.dicenet_mm.average_pool.default(x)
    return F.avg_pool2d(x, 3, stride=2, padding=1)


def global_average_pool(x: Tensor) -> Tensor:
    """Average over the map: (N, C, H, W) -> (N, C, 1, 1)."""
    if library.is_supported('global_average_pool', x):
        return torch.ops.dicenet_mm.global_average_pool.default(x)
    return x.mean((2, 3), keepdim=True)


def strided_conv_pool(x: Tensor, point: Sequence[Tensor]) -> Tensor:
    """:func:`strided_conv`, then :func:`max_pool`: (N, C_in, H, W) -> (N, C_out, ceil(H / 4), ceil(W / 4))."""
    if by_rows(point):
        return max_pool(strided_conv(x, point))
    if library.is_supported('strided_conv_pool', x):
        return torch.ops.dicenet_mm.strided_conv_pool.default(x, point)
    return max_pool(strided_conv(x, point))


def pyramid_pool(x: Tensor, weights: Tensor, sizes: Sequence[int]) -> Tensor:
    """What lies between the point-wise convolutions of an efficient pyramid pool: (N, D, H, W) -> (N, D, H, W).

    Each branch is resized, convolved, resized back, and convolved after its PReLU; the sum has a PReLU, too.

    Args:
        x: (N, D, H, W).
        weights: Packed by :func:`pack_pyramid_pool`.
        sizes: Height and width of each branch.
    """
    if library.is_supported('pyramid_pool', x):
        return torch.ops.dicenet_mm.pyramid_pool.default(x, weights, sizes)
    merged = 0
    for branch, height, width in zip(weights.unbind(1), sizes[::2], sizes[1::2]):
        before, after = branch.unbind(1)
        y = _depth_wise(resize_axis(resize_axis(x, 2, height), 3, width), before, 1)
        y = _prelu(resize_axis(resize_axis(y, 2, x.shape[2]), 3, x.shape[3]), before[:, LATER_SLOPE])
        merged = merged + _depth_wise(y, after, 1)
    return _prelu(merged, weights[:, 0, 1, LATER_SLOPE])


def upsample_add(coarse: Tensor, fine: Tensor, parameters: Tensor) -> Tensor:
    """The coarser map, enlarged between aligned corners, plus the finer one; scale, shift and PReLU.

    Args:
        coarse: (N, C, h, w), no larger than ``fine``.
        fine: (N, C, H, W).
        parameters: Scale, shift and the slope less one, (C, 3).

    Raises:
        RuntimeError: If the compiled operator finds ``coarse`` larger than ``fine``, or other images in it.
    """
    if library.is_supported('upsample_add', coarse) and library.is_supported('upsample_add', fine):
        return torch.ops.dicenet_mm.upsample_add.default(coarse, fine, parameters)
    scale, shift, slope = parameters.unbind(1)
    y = F.interpolate(coarse, fine.shape[2:], mode='bilinear', align_corners=True) + fine
    return _prelu(y * scale[:, None, None] + shift[:, None, None], slope)


def dice_unit(x: Tensor, weights: Tensor, sizes: Sequence[int]) -> Tensor:
    """The DiCE unit, packed by :func:`pack_unit`: (N, D, H, W) -> (N, D, H, W), at any height and width."""
    if library.is_supported('dice_unit', x):
        return torch.ops.dicenet_mm.dice_unit.default(x, weights, sizes)
    (depth_weight, height_weight, width_weight, _, _, local, spatial, squeeze, excite), _ = take(
        weights, *unit_shapes(*sizes))
    branches = dim_conv(x, depth_weight, height_weight, width_weight).unflatten(1, (-1, 3))
    p, r, knee = local[:, :9].unflatten(1, (3, 3))[..., None, None].unbind(2)
    y = (p * branches + r * torch.minimum(branches, knee)).sum(2) + local[:, 9, None, None]
    y = _prelu(y, local[:, 10])
    gate = torch.sigmoid(F.linear(F.relu(F.linear(y.mean((2, 3)), squeeze)), excite))
    return _depth_wise(y, spatial, 1) * gate[..., None, None]


def spatial_conv(x: Tensor, spatial: Tensor) -> Tensor:
    """Depth-wise 3x3 convolution, bias and PReLU: (N, D, H, W) -> (N, D, H, W)."""
    if library.is_supported('spatial_conv', x):
        return torch.ops.dicenet_mm.spatial_conv.default(x, spatial)
    return _depth_wise(x, spatial, 1)


def _depth_wise(x: Tensor, spatial: Tensor, stride: int) -> Tensor:
    weight = spatial[:, :9].unflatten(1, (1, 3, 3))
    return _prelu(F.conv2d(x, weight, spatial[:, 9], stride, padding=1, groups=len(spatial)), spatial[:, 10])


def dice_stage(x: Tensor, weights: Tensor, strided: bool, sizes: Sequence[int]) -> Tensor:
    """A strided block or none, then block after block, packed by :func:`pack_stage`.

    Returns:
        (N, C, H, W) -> (N, C_out, H, W), or (N, C_out, ceil(H / 2), ceil(W / 2)) with a strided block.
    """
    if library.is_supported('dice_stage', x):
        return torch.ops.dicenet_mm.dice_stage.default(x, weights, strided, sizes)
    if strided:
        (channels, left_out, *kernels, right_out), sizes = sizes[:6], sizes[6:]
        (left, *left_point), weights = take(weights, (channels, 12), *point_shapes(channels, left_out))
        right, weights = _unit(average_pool(x), weights, [channels, *kernels])
        right_point, weights = take(weights, *point_shapes(channels, right_out))
        both = point_wise(_depth_wise(x, left, 2), left_point), point_wise(right, right_point)
        x = F.channel_shuffle(torch.cat(both, dim=1), 2)
    for i in range(0, len(sizes), 5):  # the last channels take the convolution and the unit, the others pass
        planes, channels, *kernels = sizes[i:i + 5]
        point, weights = take(weights, *point_shapes(planes, channels))
        y, weights = _unit(point_wise(x[:, -planes:], point), weights, [channels, *kernels])
        x = F.channel_shuffle(torch.cat((x[:, :-planes], y), dim=1), 2)
    return x


def _unit(x: Tensor, weights: Tensor, sizes: Sequence[int]) -> tuple[Tensor, Tensor]:
    """A unit whose weights are the first of a stage's, and what is left of them."""
    rest = take(weights, *unit_shapes(*sizes))[1]
    return dice_unit(x, weights[:len(weights) - len(rest)], sizes), rest


def compiled(x: Tensor) -> bool:
    """Whether a row of compiled operators takes ``x``."""
    return library.is_supported('sequence', x)


def _prelu(x: Tensor, slope_minus_one: Tensor) -> Tensor:
    return F.prelu(x, slope_minus_one + 1)
