"""The compiled operators: loaded where they were built, and known to autograd, torch.compile and FLOP counters.

``LOADED`` says whether they are there. ``torch.ops.dicenet_mm`` holds them; callers check their arguments first.
"""
import warnings
from pathlib import Path
from typing import List, Sequence, Tuple

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from . import reference


def _load() -> bool:
    binaries = [path for path in Path(__file__).parent.glob('_C.*') if path.suffix in ('.so', '.pyd')]
    problem = 'they were not built, or the compiler failed'
    for path in binaries:
        try:
            torch.ops.load_library(path)
            return True
        except OSError as error:
            problem = f'{path.name} does not load: {error}; it may have been built for another version of torch'
    warnings.warn('dicenet_mm runs on plain PyTorch operators, several times slower, for its compiled operators are '
                  f'missing ({problem}). To build them, install a C++ compiler and ninja, then run '
                  '"pip install --no-build-isolation -e ." in the checkout.', stacklevel=2)
    return False


LOADED = _load()
#: Device types with a kernel; "meta" serves shape inference.
DEVICES = frozenset(
    device for device, key in (('cpu', 'CPU'), ('cuda', 'CUDA'), ('meta', 'Meta'))
    if LOADED and (device == 'meta' or torch._C._dispatch_has_kernel_for_dispatch_key('dicenet_mm::dim_conv', key)))


def _dim_conv_fake(x: Tensor, depth_weight: Tensor, height_weight: Tensor, width_weight: Tensor) -> Tensor:
    n, d, h, w = x.shape
    return x.new_empty((n, 3 * d, h, w))


def _dim_conv_backward_fake(grad: Tensor, x: Tensor, depth_weight: Tensor, height_weight: Tensor,
                            width_weight: Tensor, needed: Sequence[bool]) -> Tuple[Tensor, ...]:
    inputs = (x, depth_weight, height_weight, width_weight)
    return tuple(x.new_empty(tensor.shape if need else (0,)) for tensor, need in zip(inputs, needed))


def _save_inputs(ctx, inputs, output) -> None:
    ctx.save_for_backward(*inputs)


def _dim_conv_backward(ctx, grad: Tensor) -> Tuple:
    needed = list(ctx.needs_input_grad)
    if torch.is_grad_enabled():  # a gradient of the gradient is asked for, which the kernel does not give
        wanted = [tensor for tensor, need in zip(ctx.saved_tensors, needed) if need]
        grads = iter(torch.autograd.grad(reference.dim_conv(*ctx.saved_tensors), wanted, grad, create_graph=True))
        return tuple(next(grads) if need else None for need in needed)
    grads = torch.ops.dicenet_mm.dim_conv_backward(grad, *ctx.saved_tensors, needed)
    return tuple(g if need else None for g, need in zip(grads, needed))


def _macs(x: Sequence[int], height_weight: Sequence[int], width_weight: Sequence[int]) -> Tuple[int, int, int]:
    """Multiply-adds of the depth, height and width branches, at the sizes that their kernels work on."""
    n, d, h, w = x
    return 9 * n * d * h * w, 9 * n * d * height_weight[0] * w, 9 * n * d * h * width_weight[0]


def _dim_conv_flops(x, depth_weight, height_weight, width_weight, out_shape=None, **kwargs) -> int:
    return 2 * sum(_macs(x, height_weight, width_weight))


def _dim_conv_backward_flops(grad, x, depth_weight, height_weight, width_weight, needed: List[bool], out_shape=None,
                             **kwargs) -> int:
    macs = _macs(x, height_weight, width_weight)
    return 2 * sum(m for m, need in zip((sum(macs), *macs), needed) if need)


if LOADED:
    torch.library.register_fake('dicenet_mm::dim_conv', _dim_conv_fake)
    torch.library.register_fake('dicenet_mm::dim_conv_backward', _dim_conv_backward_fake)
    torch.library.register_autograd('dicenet_mm::dim_conv', _dim_conv_backward, setup_context=_save_inputs)
    register_flop_formula(torch.ops.dicenet_mm.dim_conv)(_dim_conv_flops)
    register_flop_formula(torch.ops.dicenet_mm.dim_conv_backward)(_dim_conv_backward_flops)
