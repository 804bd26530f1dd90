"""Training: a DiCE unit up to its local fusion, which keeps its input alone for the backward pass and computes the rest
again.

It serves where ``library.is_supported('dim_conv_fuse', x)``; elsewhere layers put the same together from PyTorch's own.
"""
import math

import torch
from torch import Tensor

from . import library, reference
from .library import contiguous_like


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


def _fake(x, depth_weight, height_weight, width_weight, weight, bias, slope, fusion, running_mean, running_var,
          training, eps):
    return contiguous_like(x), torch.empty_like(running_mean), torch.empty_like(running_var)


def _backward_fake(grad, x, depth_weight, height_weight, width_weight, weight, bias, slope, fusion, mean, var, training,
                   eps):
    inputs = (x, depth_weight, height_weight, width_weight, weight, bias, slope, fusion)
    return tuple(tensor.new_empty(tensor.shape) for tensor in inputs)


def _save(ctx, inputs, output):
    *tensors, _, _, ctx.training, ctx.eps = inputs
    ctx.save_for_backward(*tensors, *output[1:])


def _backward(ctx, grad, *_):
    grads = torch.ops.dicenet_mm.dim_conv_fuse_backward(grad, *ctx.saved_tensors, ctx.training, ctx.eps)
    return (*grads, None, None, None, None)


def _flops(x, depth_weight, height_weight, width_weight, *args, out_shape=None, **kwargs):
    return 2 * (sum(reference.macs(x, height_weight, width_weight)) + 3 * math.prod(x))


library.register('dim_conv_fuse', _fake, _flops)
library.register('dim_conv_fuse_backward', _backward_fake, library.twice(_flops))
library.register_gradient('dim_conv_fuse', _save, _backward)
