"""Inference forms of PyTorch's own layers, and what those of DiCENet's layers share with them."""
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights

from dicenet_mm.ops import inference

from .fused_op import FusedOp


def folded(conv: nn.Conv2d, norm: nn.Module, act: nn.Module) -> tuple[Tensor, Tensor, Tensor] | None:
    """Weight, bias (C_out,) and slope (C_out,) of all three as one; None where norm or activation are others."""
    slope = slope_of(act, conv.weight)
    if not isinstance(norm, _BatchNorm) or norm.running_var is None or slope is None:
        return None
    weight, bias = fuse_conv_bn_weights(conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps,
                                        norm.weight, norm.bias)
    return weight, bias, slope


def scale_shift(norm: nn.Module) -> tuple[Tensor, Tensor] | None:
    """Scale and shift (C,) of a normalisation by running statistics; None of others."""
    if not isinstance(norm, _BatchNorm) or norm.running_var is None:
        return None
    scale = (norm.running_var + norm.eps).rsqrt()
    if norm.affine:
        scale = scale * norm.weight
    shift = -norm.running_mean * scale
    return scale, shift + norm.bias if norm.affine else shift


def slope_of(act: nn.Module, weight: Tensor) -> Tensor | None:
    """The activation as PReLU's slope of each channel, of which ``weight`` has as many as rows; None of others."""
    if isinstance(act, nn.PReLU):
        return act.weight.detach().expand(len(weight))
    constant = {nn.ReLU: 0., nn.Identity: 1.}.get(type(act))
    return None if constant is None else weight.new_full((len(weight),), constant)


def packed_point(layers: nn.Sequential) -> list[Tensor] | None:
    """A dense convolution, its normalisation and its activation, packed."""
    parts = folded(*layers)
    return parts and inference.pack_point(*parts)


def fused_conv_act(conv: nn.Conv2d, act: nn.Module) -> FusedOp | None:
    """A convolution (with a bias or without) and the activation after it."""
    slope = slope_of(act, conv.weight)
    bias = conv.weight.new_zeros(conv.out_channels) if conv.bias is None else conv.bias
    return None if slope is None else fused_conv(conv, conv.weight, bias, slope)


def fused_conv(conv: nn.Conv2d, weight: Tensor, bias: Tensor, slope: Tensor) -> FusedOp | None:
    """A convolution of the geometry of ``conv`` with PReLU, or None if none of the operators is for it.

    They are for 1x1 convolutions (grouped ones too, if the groups are not tiny), depth-wise and other grouped 3x3 ones,
    and dense 3x3 ones of stride 2, all padded to the same size.

    Args:
        conv: Its numbers count.
        weight: (C_out, C_in / groups, n, n).
        bias: (C_out,).
        slope: (C_out,).
    """
    if conv.dilation != (1, 1) or conv.padding_mode != 'zeros':
        return None
    geometry = (conv.kernel_size, conv.stride, conv.padding)
    dense = conv.groups == 1
    if geometry == ((1, 1), (1, 1), (0, 0)) and (dense or conv.in_channels >= 16 * conv.groups):
        return FusedOp('point_wise', inference.pack_groups(weight, bias, slope, conv.groups), layer=conv)
    if dense and geometry == ((3, 3), (2, 2), (1, 1)):
        return FusedOp('strided_conv', inference.pack_point(weight, bias, slope), layer=conv)
    if dense or geometry != ((3, 3), (1, 1), (1, 1)):  # PyTorch's dense one is as fast
        return None
    if conv.groups == conv.in_channels == conv.out_channels:
        return FusedOp('spatial_conv', [inference.pack_spatial(weight, bias, slope)], layer=conv)
    return FusedOp('grouped_conv', inference.pack_groups(weight, bias, slope, conv.groups), layer=conv)


def _linear(linear: nn.Linear) -> FusedOp:
    bias = linear.weight.new_zeros(linear.out_features) if linear.bias is None else linear.bias
    return FusedOp('linear', inference.pack_point(linear.weight, bias, torch.ones_like(bias)), layer=linear)


def _max_pool(pool: nn.MaxPool2d) -> FusedOp | None:
    usual = nn.MaxPool2d(3, stride=2, padding=1)
    return FusedOp('max_pool') if pool.extra_repr() == usual.extra_repr() and not pool.return_indices else None


def _average_pool(pool: nn.AvgPool2d) -> FusedOp | None:
    usual = nn.AvgPool2d(3, stride=2, padding=1)
    same = pool.extra_repr() == usual.extra_repr() and not pool.ceil_mode
    return FusedOp('average_pool') if same and pool.count_include_pad and pool.divisor_override is None else None


def _global_average_pool(pool: nn.AdaptiveAvgPool2d) -> FusedOp | None:
    return FusedOp('global_average_pool') if pool.output_size in (1, (1, 1)) else None


def _flatten(flatten: nn.Flatten) -> FusedOp | None:
    return FusedOp('flatten') if (flatten.start_dim, flatten.end_dim) == (1, -1) else None


#: By exact type, since subclasses may do more.
TORCH_LAYERS = {
    nn.MaxPool2d: _max_pool,
    nn.AvgPool2d: _average_pool,
    nn.AdaptiveAvgPool2d: _global_average_pool,
    nn.Flatten: _flatten,
    nn.Conv2d: lambda conv: fused_conv_act(conv, nn.Identity()),
    nn.Linear: _linear,
}
