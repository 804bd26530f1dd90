"""Packed weights as CUDA takes them: the matrices of convolutions by rows, which PyTorch's library multiplies.

On a CPU matrices lie in tiles (:mod:`dicenet_mm.ops.inference`). On CUDA a point-wise or grouped convolution is two
tensors: ``matrix`` (C_out, C_in n n / groups), which may be of half, and ``affine`` (C_out, 2) in float32. A stage has
all its matrices in one flat tensor, each filled up to a multiple of 16 elements, and in another one all the rest.
"""
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from . import inference, library

NARROW = frozenset({torch.float16, torch.bfloat16})


def is_kept_on(device: torch.device) -> bool:
    """Whether weights on that device lie by rows."""
    return device.type == 'cuda'


def conv_rows(point: Sequence[Tensor]) -> list[Tensor]:
    """The two tensors of a convolution packed by ``pack_point`` or ``pack_groups``."""
    return [inference.unpack_point(point)[0].contiguous(), torch.cat(tuple(point[1::2]))]


def conv_tiles(rows: Sequence[Tensor], groups: int) -> list[Tensor]:
    """Back again."""
    matrix, affine = rows
    return inference.pack_groups(matrix.float(), affine[:, 0], affine[:, 1] + 1, groups)


def stage_rows(weights: Tensor, strided: bool, sizes: Sequence[int]) -> list[Tensor]:
    """The matrices and the rest of a stage packed by ``pack_stage``."""
    matrices, rest = [], []
    for count, shape in _parts(strided, sizes):
        part, weights = weights[:count], weights[count:]
        if shape is None:
            rest.append(part)
        else:
            c_out, c_in = shape
            rows = part.view(-1, c_in, inference.ROWS).transpose(1, 2).reshape(-1, c_in)[:c_out].flatten()
            matrices.append(F.pad(rows, (0, -rows.numel() % inference.ROWS)))
    return [torch.cat(matrices), torch.cat(rest)]


def stage_tiles(matrices: Tensor, rest: Tensor, strided: bool, sizes: Sequence[int]) -> Tensor:
    """Back again."""
    parts, matrices = [], matrices.float()
    for count, shape in _parts(strided, sizes):
        if shape is None:
            part, rest = rest[:count], rest[count:]
        else:
            (rows,), matrices = inference.take(matrices, shape)
            zeros = torch.zeros_like(rows[:, 0])
            part = inference.pack_point(rows, zeros, zeros)[0].flatten()
        parts.append(part)
    return torch.cat(parts)


def _parts(strided: bool, sizes: Sequence[int]) -> Iterator[tuple[int, tuple[int, int] | None]]:
    """Elements of each part of a packed stage, and the shape of those that are matrices."""
    def point(c_in, c_out):
        tiles, affine = inference.point_shapes(c_in, c_out)
        yield inference.filled(tiles), (c_out, c_in)
        yield inference.filled(affine), None

    def unit(*numbers):
        yield sum(map(inference.filled, inference.unit_shapes(*numbers))), None

    if strided:
        (channels, left, *kernels, right), sizes = sizes[:6], sizes[6:]
        yield inference.filled((channels, 12)), None
        yield from point(channels, left)
        yield from unit(channels, *kernels)
        yield from point(channels, right)
    for i in range(0, len(sizes), 5):
        c_in, c_out, *kernels = sizes[i:i + 5]
        yield from point(c_in, c_out)
        yield from unit(c_out, *kernels)


def dice_stage(x: Tensor, matrices: Tensor, rest: Tensor, strided: bool, sizes: Sequence[int]) -> Tensor:
    """:func:`dicenet_mm.ops.inference.dice_stage` by rows: x and the result in float32, float16 or bfloat16."""
    if library.is_supported('dice_stage_rows', x):
        return torch.ops.dicenet_mm.dice_stage_rows.default(x, matrices.to(x.dtype), rest, strided, sizes)
    wide = torch.float32 if x.dtype in NARROW else x.dtype
    tiles = stage_tiles(matrices, rest, strided, sizes).to(wide)
    return inference.dice_stage(x.to(wide), tiles, strided, sizes).to(x.dtype)


def conv_prelu(x: Tensor, matrix: Tensor, affine: Tensor, size: int, stride: int = 1) -> Tensor:
    """Convolution of ``size`` x ``size`` px padded to the same size, bias and PReLU: (N, C_in, H, W) -> (N, C_out, ..).

    Args:
        x: (N, C_in, H, W).
        matrix: (C_out, C_in size size / groups).
        affine: (C_out, 2), bias and slope less one.
        size: Of the kernels, px.
        stride: 1 or 2.
    """
    weight = matrix.to(x.dtype).unflatten(1, (-1, size, size))
    y = F.conv2d(x, weight, None, stride, size // 2, groups=x.shape[1] // weight.shape[1])
    if library.is_supported('bias_prelu', y):
        return torch.ops.dicenet_mm.bias_prelu.default(y, affine)
    bias, slope_minus_one = affine.to(y.dtype).unbind(1)
    return F.prelu(y + bias[:, None, None], slope_minus_one + 1)
