"""The compiled operators: loaded where they were built, and what the modules beside this one, one for each of them,
register for autograd, torch.compile and FLOP counters.

``LOADED`` says whether they are there; ``torch.ops.dicenet_mm`` holds them. :func:`is_supported` is the rule by which
every caller chooses between them and PyTorch's own operators.
"""
import ctypes
import math
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from . import reference


def _load() -> ctypes.CDLL | None:
    binaries = [path for path in Path(__file__).parent.glob('_C.*') if path.suffix in ('.so', '.pyd')]
    problem = 'they were not built, or the compiler failed'
    for path in binaries:
        try:
            torch.ops.load_library(path)
            return ctypes.CDLL(str(path))
        except OSError as error:
            problem = f'{path.name} does not load: {error}; it may have been built for another version of torch'
    warnings.warn('dicenet_mm runs on plain PyTorch operators, several times slower, for its compiled operators are '
                  f'missing ({problem}). To build them, install a C++ compiler and ninja, then run '
                  '"pip install --no-build-isolation -e ." in the checkout.', stacklevel=2)
    return None


_BINARY = _load()
LOADED = _BINARY is not None

if hasattr(os, 'register_at_fork'):
    # A forked child has none of its parent's OpenMP threads, and any operator, of PyTorch too, that shares work with
    # them would wait for ever. It gets one thread, as the workers of PyTorch's loaders do.
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


def has_kernel(operator: str, device: str) -> bool:
    """Whether an operator of ``torch.ops.dicenet_mm`` was compiled for a device type, "cpu" or "cuda"."""
    name = f'dicenet_mm::{operator}'
    return (LOADED and torch._C._dispatch_has_kernel(name)
            and torch._C._dispatch_has_kernel_for_dispatch_key(name, device.upper()))


#: Device types that :func:`dicenet_mm.ops.dim_conv` has a kernel for; "meta" serves shape inference.
DEVICES = frozenset(d for d in ('cpu', 'cuda') if has_kernel('dim_conv', d)) | ({'meta'} if LOADED else frozenset())
#: Operators of inference on CUDA: maps in float32, float16 or bfloat16, also under autocast.
_ON_CUDA = frozenset(o for o in ('dice_unit', 'dice_stage_rows', 'bias_prelu') if has_kernel(o, 'cuda'))
_CUDA_DTYPES = frozenset({torch.float32, torch.float16, torch.bfloat16})
#: Those of the DiCE unit of inference. All other operators of inference, and those of training, are for the CPU.
UNIT_DEVICES = frozenset(d for d in ('cpu', 'cuda') if has_kernel('dice_unit', d))
_CPU = frozenset({'cpu'}) if has_kernel('norm_act', 'cpu') else frozenset()
_WITH_GRADIENTS = frozenset({'norm_act', 'dim_conv_fuse', 'depth_wise_conv'})
_reference_only = False


def is_supported(operator: str, x: Tensor) -> bool:
    """Whether a compiled operator takes ``x``: the rule by which every caller chooses.

    It was built for the device of ``x``, and :func:`backend` does not say otherwise. ``dim_conv`` takes every floating
    dtype; all others take float32 outside of autocast, on CUDA half and bfloat16 too, and those of inference only where
    no gradient is wanted.
    """
    if _reference_only:
        return False
    device = x.device.type
    if operator == 'dim_conv':
        return device in DEVICES
    if device == 'cuda':
        return operator in _ON_CUDA and x.dtype in _CUDA_DTYPES and not (torch.is_grad_enabled() and x.requires_grad)
    if device not in _CPU or operator in ('dice_stage_rows', 'bias_prelu'):
        return False
    return (x.dtype == torch.float32 and not torch.is_autocast_enabled(device)
            and (operator in _WITH_GRADIENTS or not (torch.is_grad_enabled() and x.requires_grad)))


@contextmanager
def backend(name: str) -> Iterator[None]:
    """Choose what serves within the block, in every thread: to compare, to measure, to find a fault.

    Args:
        name: "compiled" for the compiled operators where they are there and take the input, as everywhere else;
            "reference" for PyTorch's own operators.

    Raises:
        ValueError: If the name is another.

    Example:
        >>> import torch
        >>> x, k = torch.rand(1, 4, 6, 6), torch.rand(3, 6, 3, 3)
        >>> with backend('reference'):
        ...     plain = dim_conv(x, k[0, :4], k[1], k[2])
        >>> torch.allclose(plain, dim_conv(x, k[0, :4], k[1], k[2]), atol=1e-5)
        True
    """
    global _reference_only
    if name not in ('compiled', 'reference'):
        raise ValueError(f'a backend is called "compiled" or "reference", got {name!r}')
    before, _reference_only = _reference_only, name == 'reference'
    try:
        yield
    finally:
        _reference_only = before


#: Instruction sets of the CPU that the compiled operators were built for and this machine runs, the best one first.
INSTRUCTION_SETS: tuple[str, ...] = ()
if hasattr(_BINARY, 'dicenet_mm_instruction_sets'):  # not in one that was built from older sources
    for _function in (_BINARY.dicenet_mm_instruction_sets, _BINARY.dicenet_mm_instruction_set):
        _function.restype = ctypes.c_char_p
    INSTRUCTION_SETS = tuple(_BINARY.dicenet_mm_instruction_sets().decode().split())


@contextmanager
def instruction_set(name: str) -> Iterator[None]:
    """Hold the CPU's instruction set back within the block, in every thread: to compare and to test.

    ``DICENET_MM_ISA`` in the environment does the same for a whole run, where it names one or one above the best.

    Args:
        name: One of ``INSTRUCTION_SETS``.

    Raises:
        ValueError: If this machine does not run it.
    """
    if name not in INSTRUCTION_SETS:
        raise ValueError(f'instruction sets that run here: {", ".join(INSTRUCTION_SETS) or "none"}; got {name!r}')
    before = _BINARY.dicenet_mm_instruction_set()
    _BINARY.dicenet_mm_use_instruction_set(name.encode())
    try:
        yield
    finally:
        _BINARY.dicenet_mm_use_instruction_set(before)


def register(name: str, fake: Callable, flops: Callable) -> None:
    """Tell PyTorch an operator's output without its numbers (shape, dtype, device), and the operations it counts."""
    if LOADED:
        torch.library.register_fake(f'dicenet_mm::{name}', fake)
        register_flop_formula(getattr(torch.ops.dicenet_mm, name))(flops)


def register_gradient(name: str, save: Callable, backward: Callable) -> None:
    """Tell autograd what an operator keeps and what takes its gradient back."""
    if LOADED:
        torch.library.register_autograd(f'dicenet_mm::{name}', backward, setup_context=save)


def save_inputs(ctx, inputs, output) -> None:
    """What :func:`register_gradient` takes for an operator of tensors alone."""
    ctx.save_for_backward(*inputs)


def contiguous_like(x: Tensor) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def twice(flops: Callable) -> Callable:
    """The formula of a backward operator: two convolutions for each. What is computed again does not count."""
    return lambda grad, *args, out_shape=None, **kwargs: 2 * flops(*args)


def no_flops(*args, **kwargs) -> int:
    return 0


def _point_wise_fake(x: Tensor, point: list[Tensor]) -> Tensor:
    return x.new_empty((x.shape[0], sum(affine.shape[0] for affine in point[1::2]), *x.shape[2:]))


def _spatial_conv_fake(x: Tensor, spatial: Tensor) -> Tensor:
    return x.new_empty(x.shape)


def _grouped_conv_fake(x: Tensor, point: list[Tensor], gate: Tensor | None) -> Tensor:
    return _point_wise_fake(x, point)


def _strided_conv_fake(x: Tensor, point: list[Tensor]) -> Tensor:
    return x.new_empty((x.shape[0], point[1].shape[0], *_halved(x)))


def _max_pool_fake(x: Tensor) -> Tensor:
    return x.new_empty((*x.shape[:2], *_halved(x)))


def _global_average_pool_fake(x: Tensor) -> Tensor:
    return x.new_empty((*x.shape[:2], 1, 1))


def _strided_conv_pool_fake(x: Tensor, point: list[Tensor]) -> Tensor:
    return _max_pool_fake(_strided_conv_fake(x, point))


def _halved(x: Tensor) -> tuple[int, int]:
    return (x.shape[2] + 1) // 2, (x.shape[3] + 1) // 2


def _pyramid_pool_fake(x: Tensor, weights: Tensor, sizes: list[int]) -> Tensor:
    return x.new_empty(x.shape)


def _upsample_add_fake(coarse: Tensor, fine: Tensor, parameters: Tensor) -> Tensor:
    return fine.new_empty(fine.shape)


def _dice_unit_fake(x: Tensor, weights: Tensor, sizes: list[int]) -> Tensor:
    return x.new_empty(x.shape)


def _dice_stage_fake(x: Tensor, weights: Tensor, strided: bool, sizes: list[int]) -> Tensor:
    n, c, h, w = x.shape
    blocks = sizes
    if strided:
        c, (h, w), blocks = sizes[1] + sizes[5], _halved(x), sizes[6:]
    return x.new_empty((n, c + sum(blocks[1::5]) - sum(blocks[::5]), h, w))


def _bias_prelu_fake(x: Tensor, affine: Tensor) -> Tensor:
    return x.new_empty(x.shape)


def _dice_stage_rows_fake(x: Tensor, matrices: Tensor, weights: Tensor, strided: bool, sizes: list[int]) -> Tensor:
    return _dice_stage_fake(x, weights, strided, sizes)


def _dice_stage_rows_flops(x, matrices, weights, strided, sizes, out_shape=None, **kwargs) -> int:
    return _dice_stage_flops(x, weights, strided, sizes)


def _point_wise_flops(x, point, out_shape=None, **kwargs) -> int:
    n, _, h, w = x
    return 2 * n * h * w * sum(weight[1] * affine[0] for weight, affine in zip(point[::2], point[1::2]))


def _grouped_conv_flops(x, point, gate, out_shape=None, **kwargs) -> int:
    return _point_wise_flops(x, point)  # whose weights hold all nine taps


def _spatial_conv_flops(x, spatial, out_shape=None, **kwargs) -> int:
    return 2 * 9 * math.prod(x)


def _strided_conv_flops(x, point, out_shape=None, **kwargs) -> int:
    n, c, h, w = x
    return 2 * 9 * n * c * point[1][0] * ((h + 1) // 2) * ((w + 1) // 2)


def _pyramid_pool_flops(x, weights, sizes, out_shape=None, **kwargs) -> int:
    n, c, h, w = x
    return 2 * 9 * n * c * sum(height * width + h * w for height, width in zip(sizes[::2], sizes[1::2]))


def _dice_unit_flops(x, weights, sizes, out_shape=None, **kwargs) -> int:
    return _unit_flops(x, *sizes[1:])


def _unit_flops(x: Sequence[int], kernel_height: int, kernel_width: int, hidden: int) -> int:
    n, d, h, w = x
    local_spatial_gate = (3 + 9) * n * d * h * w + 2 * n * d * hidden
    return 2 * (sum(reference.macs(x, (kernel_height,), (kernel_width,))) + local_spatial_gate)


def _dice_stage_flops(x, weights, strided, sizes, out_shape=None, **kwargs) -> int:
    (n, _, h, w), flops = x, 0
    if strided:
        (c, left, *kernels, right), sizes = sizes[:6], sizes[6:]
        h, w = (h + 1) // 2, (w + 1) // 2
        flops = 2 * n * h * w * c * (9 + left + right) + _unit_flops((n, c, h, w), *kernels)
    for i in range(0, len(sizes), 5):
        c_in, c_out, *kernels = sizes[i:i + 5]
        flops += 2 * n * h * w * c_in * c_out + _unit_flops((n, c_out, h, w), *kernels)
    return flops


if LOADED:
    for _name, _fake, _flops in (('point_wise', _point_wise_fake, _point_wise_flops),
                                 ('spatial_conv', _spatial_conv_fake, _spatial_conv_flops),
                                 ('grouped_conv', _grouped_conv_fake, _grouped_conv_flops),
                                 ('strided_conv', _strided_conv_fake, _strided_conv_flops),
                                 ('max_pool', _max_pool_fake, no_flops),
                                 ('average_pool', _max_pool_fake, no_flops),
                                 ('global_average_pool', _global_average_pool_fake, no_flops),
                                 ('strided_conv_pool', _strided_conv_pool_fake, _strided_conv_flops),
                                 ('pyramid_pool', _pyramid_pool_fake, _pyramid_pool_flops),
                                 ('upsample_add', _upsample_add_fake, no_flops),
                                 ('dice_unit', _dice_unit_fake, _dice_unit_flops),
                                 ('dice_stage', _dice_stage_fake, _dice_stage_flops)):
        register(_name, _fake, _flops)
    for _name, _fake, _flops in (('bias_prelu', _bias_prelu_fake, no_flops),
                                 ('dice_stage_rows', _dice_stage_rows_fake, _dice_stage_rows_flops)):
        if has_kernel(_name, 'cuda'):  # they are there only where CUDA was compiled
            register(_name, _fake, _flops)
