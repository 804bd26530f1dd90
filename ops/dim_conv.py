"""Dimension-wise convolution: the public call, its arguments checked before anything is computed, and its gradients."""
from collections.abc import Sequence

import torch
from torch import Tensor

from . import library, reference


def dim_conv(x: Tensor, depth_weight: Tensor, height_weight: Tensor, width_weight: Tensor,
             dilation: int = 1) -> Tensor:
    r"""Dimension-wise convolution: a light convolution along each dimension of a tensor (Section 3.1, Equation 1).

    Each kernel slides over the plane of the two other dimensions: the one of channel ``d`` over (H, W), the one of
    row ``h`` over (D, W), the one of column ``w`` over (D, H). All are zero-padded, so every map keeps its size.

    3x3 kernels with dilation 1 run in one pass over memory where the compiled operators are there, on CPU and CUDA;
    everything else is put together from PyTorch's own operators. Both give the same numbers. Under autocast the
    arguments are taken in its dtype; half and bfloat16 are summed in float32.

    ``H_k`` and ``W_k`` need not be the input's own height and width. Along the axis where they differ the input of
    that branch is resized to the kernels' size, convolved and resized back (see :func:`resize_axis`).

    Args:
        x: Input (N, D, H, W), floating point.
        depth_weight: Kernels of the channels (D, n, n), n odd, over (H, W).
        height_weight: Kernels of the rows (H_k, n, n), over (D, W).
        width_weight: Kernels of the columns (W_k, n, n), over (D, H).
        dilation: Spacing of the kernels' taps, the same in all three branches.

    Returns:
        (N, 3D, H, W), the dtype of ``x``. Channels are interleaved: ``3d`` is the depth-wise response of channel
        ``d``, ``3d + 1`` the height-wise and ``3d + 2`` the width-wise one.

    Raises:
        TypeError: If an argument is not a tensor, or the dtypes differ or are not floating point.
        ValueError: If a shape does not fit, or the dilation is not positive.

    Example:
        >>> import torch
        >>> x = torch.rand(2, 8, 14, 14)
        >>> dim_conv(x, torch.rand(8, 3, 3), torch.rand(14, 3, 3), torch.rand(14, 3, 3)).shape
        torch.Size([2, 24, 14, 14])
    """
    args = _autocast(x, depth_weight, height_weight, width_weight)
    _check(*args, dilation)
    if dilation == 1 and depth_weight.shape[-1] == 3 and library.is_supported('dim_conv', x):
        return torch.ops.dicenet_mm.dim_conv(*args)
    return reference.dim_conv(*args, dilation)


def _autocast(x: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
    if (isinstance(x, Tensor) and x.dtype != torch.float64 and torch.amp.is_autocast_available(x.device.type)
            and torch.is_autocast_enabled(x.device.type)):
        dtype = torch.get_autocast_dtype(x.device.type)
        return x.to(dtype), *(weight.to(dtype) for weight in weights)
    return x, *weights


def _check(x: Tensor, depth_weight: Tensor, height_weight: Tensor, width_weight: Tensor, dilation: int) -> None:
    weights = dict(depth_weight=depth_weight, height_weight=height_weight, width_weight=width_weight)
    for name, value in dict(x=x, **weights).items():
        if not isinstance(value, Tensor):
            raise TypeError(f'{name} must be a tensor, got {type(value).__name__}')
    if not x.is_floating_point():
        raise TypeError(f'x must be of a floating point dtype, got {x.dtype}')
    if x.dim() != 4:
        raise ValueError(f'x must have the shape (N, D, H, W), got {tuple(x.shape)}')
    if x.shape[2] == 0 or x.shape[3] == 0:
        raise ValueError(f'x must have at least one row and one column, got {tuple(x.shape)}')
    for name, weight in weights.items():
        if weight.dtype != x.dtype:
            raise TypeError(f'{name} must be of the dtype of x, {x.dtype}, got {weight.dtype}')
        if weight.dim() != 3 or weight.shape[1] != weight.shape[2] or weight.shape[1] % 2 == 0:
            raise ValueError(f'{name} must have the shape (kernels, n, n) with n odd, got {tuple(weight.shape)}')
        if weight.shape[0] == 0:
            raise ValueError(f'{name} must hold at least one kernel, got {tuple(weight.shape)}')
        if weight.shape[1] != depth_weight.shape[1]:
            raise ValueError(f'{name} has kernels of {weight.shape[1]} px and depth_weight of {depth_weight.shape[1]}')
    if depth_weight.shape[0] != x.shape[1]:
        raise ValueError(f'depth_weight holds {depth_weight.shape[0]} kernels and x has {x.shape[1]} channels: '
                         'there must be one for each channel')
    if dilation < 1:
        raise ValueError(f'dilation must be at least 1, got {dilation}')


def _fake(x: Tensor, depth_weight: Tensor, height_weight: Tensor, width_weight: Tensor) -> Tensor:
    n, d, h, w = x.shape
    return x.new_empty((n, 3 * d, h, w))


def _backward_fake(grad: Tensor, x: Tensor, depth_weight: Tensor, height_weight: Tensor, width_weight: Tensor,
                   needed: Sequence[bool]) -> tuple[Tensor, ...]:
    inputs = (x, depth_weight, height_weight, width_weight)
    return tuple(x.new_empty(tensor.shape if need else (0,)) for tensor, need in zip(inputs, needed))


def _backward(ctx, grad: Tensor) -> tuple:
    needed = list(ctx.needs_input_grad)
    if torch.is_grad_enabled():  # a gradient of the gradient is asked for, which the kernel does not give
        wanted = [tensor for tensor, need in zip(ctx.saved_tensors, needed) if need]
        grads = iter(torch.autograd.grad(reference.dim_conv(*ctx.saved_tensors), wanted, grad, create_graph=True))
        return tuple(next(grads) if need else None for need in needed)
    grads = torch.ops.dicenet_mm.dim_conv_backward(grad, *ctx.saved_tensors, needed)
    return tuple(g if need else None for g, need in zip(grads, needed))


def _flops(x, depth_weight, height_weight, width_weight, out_shape=None, **kwargs) -> int:
    return 2 * sum(reference.macs(x, height_weight, width_weight))


def _backward_flops(grad, x, depth_weight, height_weight, width_weight, needed: list[bool], out_shape=None,
                    **kwargs) -> int:
    branches = reference.macs(x, height_weight, width_weight)
    return 2 * sum(m for m, need in zip((sum(branches), *branches), needed) if need)


library.register('dim_conv', _fake, _flops)
library.register('dim_conv_backward', _backward_fake, _backward_flops)
library.register_gradient('dim_conv', library.save_inputs, _backward)
