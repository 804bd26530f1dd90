"""Operators of training that keep their input alone for the backward pass, and compute again what else it needs.

They serve float tensors on a CPU with the compiled operators (:func:`serves`); elsewhere layers put the same together
from PyTorch's own.
"""
import math

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from . import library


def serves(x: Tensor) -> bool:
    """Whether the operators of this module take ``x``."""
    return library.is_supported('norm_act', x)


def norm_act(x: Tensor, weight: Tensor, bias: Tensor, slope: Tensor, gate: Tensor | None, running_mean: Tensor,
             running_var: Tensor, training: bool, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Batch normalisation, PReLU and a factor for each map.

    Args:
        x: (N, C, H, W).
        weight: (C,), of the normalisation.
        bias: (C,), of the normalisation.
        slope: (C,), of PReLU.
        gate: (N, C, 1, 1), or None for no factor.
        running_mean: (C,), used where ``training`` is false.
        running_var: (C,), likewise.
        training: Whether to normalise by the batch.
        eps: Added to the variance.

    Returns:
        (N, C, H, W), and the mean and (biased) variance that were used, both (C,). The running statistics are not
        touched.
    """
    return torch.ops.dicenet_mm.norm_act(x, weight, bias, slope, gate, running_mean, running_var, training, eps)


def dim_conv_fuse(x: Tensor, depth_weight: Tensor, height_weight: Tensor, width_weight: Tensor, weight: Tensor,
                  bias: Tensor, slope: Tensor, fusion: Tensor, running_mean: Tensor, running_var: Tensor,
                  training: bool, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """:func:`dicenet_mm.ops.dim_conv`, batch normalisation, PReLU and the local fusion (Sections 3.1 and 3.2).

    Args:
        x: (N, D, H, W).
        depth_weight: (D, 3, 3).
        height_weight: (H_k, 3, 3).
        width_weight: (W_k, 3, 3).
        weight: (3D,), of the normalisation; likewise ``bias``, ``running_mean`` and ``running_var``.
        slope: (3D,), of PReLU.
        fusion: (D, 3), weights of the depth, height and width branches.
        training: Whether to normalise by the batch.
        eps: Added to the variance.

    Returns:
        (N, D, H, W), and the mean and (biased) variance that were used, both (3D,).
    """
    return torch.ops.dicenet_mm.dim_conv_fuse(x, depth_weight, height_weight, width_weight, weight, bias, slope, fusion,
                                              running_mean, running_var, training, eps)


def depth_wise_conv(x: Tensor, weight: Tensor) -> Tensor:
    """Depth-wise 3x3 convolution, zero-padded: (N, C, H, W) and (C, 3, 3) -> (N, C, H, W)."""
    return torch.ops.dicenet_mm.depth_wise_conv(x, weight)


def _depth_wise_conv_fake(x, weight):
    return _contiguous_like(x)


def _depth_wise_conv_backward_fake(grad, x, weight):
    return _contiguous_like(x), torch.empty_like(weight)


def _save_inputs(ctx, inputs, output):
    ctx.save_for_backward(*inputs)


def _depth_wise_conv_backward(ctx, grad):
    return torch.ops.dicenet_mm.depth_wise_conv_backward(grad, *ctx.saved_tensors)


def _contiguous_like(x):
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _norm_act_fake(x, weight, bias, slope, gate, running_mean, running_var, training, eps):
    return _contiguous_like(x), torch.empty_like(running_mean), torch.empty_like(running_var)


def _norm_act_backward_fake(grad, x, weight, bias, slope, gate, mean, var, training, eps):
    gate_grad = x.new_empty(x.shape[:2] if gate is not None else (0, 0))
    return (_contiguous_like(x), torch.empty_like(weight), torch.empty_like(bias),
            torch.empty_like(slope), gate_grad)


def _save_norm_act(ctx, inputs, output):
    x, weight, bias, slope, gate, _, _, ctx.training, ctx.eps = inputs
    ctx.save_for_backward(x, weight, bias, slope, gate, *output[1:])


def _norm_act_backward(ctx, grad, *_):
    x, weight, bias, slope, gate, mean, var = ctx.saved_tensors
    *grads, gate_grad = torch.ops.dicenet_mm.norm_act_backward(grad, x, weight, bias, slope, gate, mean, var,
                                                               ctx.training, ctx.eps)
    return (*grads, None if gate is None else gate_grad.view_as(gate), None, None, None, None)


def _dim_conv_fuse_fake(x, depth_weight, height_weight, width_weight, weight, bias, slope, fusion, running_mean,
                        running_var, training, eps):
    return _contiguous_like(x), torch.empty_like(running_mean), torch.empty_like(running_var)


def _dim_conv_fuse_backward_fake(grad, x, depth_weight, height_weight, width_weight, weight, bias, slope, fusion, mean,
                                 var, training, eps):
    inputs = (x, depth_weight, height_weight, width_weight, weight, bias, slope, fusion)
    return tuple(tensor.new_empty(tensor.shape) for tensor in inputs)


def _save_dim_conv_fuse(ctx, inputs, output):
    *tensors, _, _, ctx.training, ctx.eps = inputs
    ctx.save_for_backward(*tensors, *output[1:])


def _dim_conv_fuse_backward(ctx, grad, *_):
    grads = torch.ops.dicenet_mm.dim_conv_fuse_backward(grad, *ctx.saved_tensors, ctx.training, ctx.eps)
    return (*grads, None, None, None, None)


def _depth_wise_conv_flops(x, weight, out_shape=None, **kwargs):
    return 2 * 9 * math.prod(x)


def _dim_conv_fuse_flops(x, depth_weight, height_weight, width_weight, *args, out_shape=None, **kwargs):
    return 2 * (sum(library.macs(x, height_weight, width_weight)) + 3 * math.prod(x))


def _twice(flops):
    """The formula of a backward operator: two convolutions for each. What is computed again does not count."""
    return lambda grad, *args, out_shape=None, **kwargs: 2 * flops(*args)


if library.LOADED:
    for _name, _fake, _backward_fake, _backward, _save, _flops in (
            ('norm_act', _norm_act_fake, _norm_act_backward_fake, _norm_act_backward, _save_norm_act,
             library.no_flops),
            ('dim_conv_fuse', _dim_conv_fuse_fake, _dim_conv_fuse_backward_fake, _dim_conv_fuse_backward,
             _save_dim_conv_fuse, _dim_conv_fuse_flops),
            ('depth_wise_conv', _depth_wise_conv_fake, _depth_wise_conv_backward_fake, _depth_wise_conv_backward,
             _save_inputs, _depth_wise_conv_flops)):
        torch.library.register_fake(f'dicenet_mm::{_name}', _fake)
        torch.library.register_fake(f'dicenet_mm::{_name}_backward', _backward_fake)
        torch.library.register_autograd(f'dicenet_mm::{_name}', _backward, setup_context=_save)
        register_flop_formula(getattr(torch.ops.dicenet_mm, _name))(_flops)
        register_flop_formula(getattr(torch.ops.dicenet_mm, f'{_name}_backward'))(_twice(_flops))
