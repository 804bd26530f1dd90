"""Training: batch normalisation, PReLU and a gate, which keeps its input alone for the backward pass.

It serves where ``library.is_supported('norm_act', x)``; elsewhere layers put the same together from PyTorch's own.
"""
import torch
from torch import Tensor

from . import library
from .library import contiguous_like


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


def _fake(x, weight, bias, slope, gate, running_mean, running_var, training, eps):
    return contiguous_like(x), torch.empty_like(running_mean), torch.empty_like(running_var)


def _backward_fake(grad, x, weight, bias, slope, gate, mean, var, training, eps):
    gate_grad = x.new_empty(x.shape[:2] if gate is not None else (0, 0))
    return contiguous_like(x), torch.empty_like(weight), torch.empty_like(bias), torch.empty_like(slope), gate_grad


def _save(ctx, inputs, output):
    x, weight, bias, slope, gate, _, _, ctx.training, ctx.eps = inputs
    ctx.save_for_backward(x, weight, bias, slope, gate, *output[1:])


def _backward(ctx, grad, *_):
    x, weight, bias, slope, gate, mean, var = ctx.saved_tensors
    *grads, gate_grad = torch.ops.dicenet_mm.norm_act_backward(grad, x, weight, bias, slope, gate, mean, var,
                                                               ctx.training, ctx.eps)
    return (*grads, None if gate is None else gate_grad.view_as(gate), None, None, None, None)


library.register('norm_act', _fake, library.no_flops)
library.register('norm_act_backward', _backward_fake, library.no_flops)
library.register_gradient('norm_act', _save, _backward)
