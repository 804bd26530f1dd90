"""Small blocks that every network of the toolkit is made of."""
from collections.abc import Callable
from functools import partial

from torch import Tensor, nn
from torchvision.ops import Conv2dNormActivation

from dicenet_mm.inference.fused_op import FusedOp
from dicenet_mm.inference.torch_layers import folded, fused_conv
from dicenet_mm.ops import library
from dicenet_mm.ops import norm_act as operator
from dicenet_mm.ops.depthwise_conv import depth_wise_conv

#: Makes a layer from a number of channels: ``nn.BatchNorm2d`` and ``nn.PReLU`` are two of them.
LayerFactory = Callable[[int], nn.Module]


def conv_norm_act(in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1, groups: int = 1,
                  dilation: int = 1, norm_layer: LayerFactory = nn.BatchNorm2d,
                  act_layer: LayerFactory = nn.PReLU) -> 'ConvNormAct':
    """A bias-free convolution padded to the same size, normalisation, and an activation that knows its channels."""
    return ConvNormAct(in_channels, out_channels, kernel_size, stride, groups=groups, dilation=dilation,
                       norm_layer=norm_layer, activation_layer=partial(act_layer, out_channels), inplace=None,
                       bias=False)


class ConvNormAct(Conv2dNormActivation):
    """torchvision's layer, with normalisation and activation in one operator where there is one."""

    def forward(self, x: Tensor) -> Tensor:
        conv, norm, act = self
        return norm_act(norm, act, conv(x))

    def fused(self) -> FusedOp | None:
        """The inference form, or None if there is none."""
        parts = folded(*self)
        return parts and fused_conv(self[0], *parts)


class NormAct(nn.Sequential):
    """Normalisation and an activation, in one operator where there is one."""

    def __init__(self, channels: int, norm_layer: LayerFactory = nn.BatchNorm2d, act_layer: LayerFactory = nn.PReLU):
        super().__init__(norm_layer(channels), act_layer(channels))

    def forward(self, x: Tensor) -> Tensor:
        return norm_act(*self, x)


def conv_3x3(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """``conv(x)`` of a bias-free 3x3 convolution padded to the same size, faster where each channel has one kernel."""
    if (type(conv) is nn.Conv2d and conv.groups == conv.in_channels == conv.out_channels and conv.bias is None
            and library.is_supported('depth_wise_conv', x)):
        return depth_wise_conv(x, conv.weight[:, 0])
    return conv(x)


def norm_act(norm: nn.Module, act: nn.Module, x: Tensor, gate: Tensor | None = None) -> Tensor:
    """``act(norm(x))`` of (N, C, H, W), times ``gate`` (N, C, 1, 1) if there is one."""
    if not (is_fusable(norm, act, x) and library.is_supported('norm_act', x)):
        x = act(norm(x))
        return x if gate is None else x * gate
    y, mean, var = operator.norm_act(x, norm.weight, norm.bias, act.weight, gate, norm.running_mean, norm.running_var,
                                     norm.training, norm.eps)
    update_statistics(norm, mean, var, x)
    return y


def is_fusable(norm: nn.Module, act: nn.Module, x: Tensor) -> bool:
    """Whether these are what the fused operators compute: affine BN, a PReLU slope per channel."""
    return (type(norm) is nn.BatchNorm2d and norm.affine and norm.track_running_stats and norm.momentum is not None
            and type(act) is nn.PReLU and act.num_parameters == norm.num_features
            and x.numel() > max(1, x.shape[1]))  # a single value per channel is for nn.BatchNorm2d to refuse


def update_statistics(norm: nn.BatchNorm2d, mean: Tensor, var: Tensor, x: Tensor) -> None:
    """Take a batch into the running statistics: its mean and biased variance (C,) over N, H and W of ``x``."""
    if norm.training:
        count = x.numel() // x.shape[1]
        norm.num_batches_tracked.add_(1)
        norm.running_mean.lerp_(mean.detach(), norm.momentum)
        norm.running_var.lerp_(var.detach() * (count / (count - 1)), norm.momentum)
