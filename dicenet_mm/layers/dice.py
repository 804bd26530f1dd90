"""The DiCE unit (Section 3): dimension-wise convolutions and dimension-wise fusion.

Mehta, Hajishirzi, Rastegari: "DiCENet: Dimension-wise Convolutions for Efficient Networks".
"""
from math import gcd

import torch
from torch import Tensor, nn

from dicenet_mm.inference.fused_op import FusedOp
from dicenet_mm.inference.torch_layers import folded, scale_shift, slope_of
from dicenet_mm.ops import dim_conv, inference, library
from dicenet_mm.ops.dim_conv_fuse import dim_conv_fuse

from .units import LayerFactory, conv_3x3, conv_norm_act, is_fusable, norm_act, update_statistics


class DimConv(nn.Module):
    """Dimension-wise convolution (Section 3.1): :func:`dicenet_mm.ops.dim_conv` with its kernels.

    The kernels are plain parameters rather than ``nn.Conv2d`` modules, so that tools which fold a batch normalisation
    into the convolution before it cannot mistake one of the three for that convolution.

    Args:
        channels: D, of input and output alike; the output has 3D channels.
        kernel_sizes: (H_k, W_k), the height and width that the kernels are made for, px. Any other
            size of the input is served by resizing inside the operator.
        dilation: Spacing of the 3x3 kernels' taps.
    """

    def __init__(self, channels: int, kernel_sizes: tuple[int, int], dilation: int = 1):
        super().__init__()
        self.dilation = dilation
        self.depth_weight = nn.Parameter(torch.empty(channels, 3, 3))
        self.height_weight = nn.Parameter(torch.empty(kernel_sizes[0], 3, 3))
        self.width_weight = nn.Parameter(torch.empty(kernel_sizes[1], 3, 3))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Kaiming normal by fan-out, each set of kernels taken as the weight of a depth-wise ``nn.Conv2d``."""
        for weight in self.parameters():
            nn.init.kaiming_normal_(weight.detach().unsqueeze(1), mode='fan_out')

    def forward(self, x: Tensor) -> Tensor:
        """(N, D, H, W) -> (N, 3D, H, W), interleaved: depth, height and width of each channel in turn."""
        return dim_conv(x, self.depth_weight, self.height_weight, self.width_weight, self.dilation)

    def extra_repr(self) -> str:
        return (f'{self.depth_weight.shape[0]}, kernel_sizes=({self.height_weight.shape[0]}, '
                f'{self.width_weight.shape[0]}), dilation={self.dilation}')


class DimFuse(nn.Module):
    """Dimension-wise fusion (Section 3.2): a cheap replacement of the point-wise convolution.

    Local fusion joins the three responses of each channel; global fusion is a spatial convolution scaled by a gate
    that sees all channels of the pooled map.

    Args:
        channels: D; the input has ``responses`` times as many.
        out_channels: D_out.
        norm_layer: Makes a normalisation from a number of channels.
        act_layer: Makes an activation from a number of channels.
        responses: How many responses there are to each channel. DimConv gives 3; to fuse what has only 1, there is
            nothing to join locally, and global fusion remains.
    """

    def __init__(self, channels: int, out_channels: int, norm_layer: LayerFactory = nn.BatchNorm2d,
                 act_layer: LayerFactory = nn.PReLU, responses: int = 3):
        super().__init__()
        layers = dict(norm_layer=norm_layer, act_layer=act_layer)
        self.local = (nn.Identity() if responses == 1 else
                      conv_norm_act(responses * channels, channels, 1, groups=channels, **layers))
        self.spatial = conv_norm_act(channels, out_channels, 3, groups=gcd(channels, out_channels), **layers)
        hidden = channels // 4
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, hidden, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(hidden, out_channels, 1, bias=False),
            nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """(N, responses * D, H, W) -> (N, D_out, H, W)."""
        return self.fuse_globally(self.local(x))

    def fuse_globally(self, x: Tensor) -> Tensor:
        """(N, D, H, W) -> (N, D_out, H, W): the spatial convolution, scaled by the gate."""
        conv, norm, act = self.spatial
        return norm_act(norm, act, conv_3x3(conv, x), self.gate(x))


class DiCEUnit(nn.Module):
    """The DiCE unit (Figure 2): DimConv, normalisation and activation over its 3D channels, DimFuse.

    Args:
        channels: D, of the input; at least 4, for the gate's hidden layer has D // 4 units.
        out_channels: D_out.
        kernel_sizes: (H_k, W_k) of the height and width kernels, px.
        dilation: Spacing of the DimConv kernels' taps.
        norm_layer: Makes a normalisation from a number of channels.
        act_layer: Makes an activation from a number of channels.

    Raises:
        ValueError: If there are fewer than 4 channels.

    Example:
        >>> import torch
        >>> DiCEUnit(16, 16, (28, 28))(torch.rand(2, 16, 20, 30)).shape
        torch.Size([2, 16, 20, 30])
    """

    def __init__(self, channels: int, out_channels: int, kernel_sizes: tuple[int, int], dilation: int = 1,
                 norm_layer: LayerFactory = nn.BatchNorm2d, act_layer: LayerFactory = nn.PReLU):
        super().__init__()
        if channels < 4:
            raise ValueError(f'a DiCE unit needs at least 4 input channels, got {channels}')
        self.dim_conv = DimConv(channels, kernel_sizes, dilation)
        self.norm = norm_layer(3 * channels)
        self.act = act_layer(3 * channels)
        self.dim_fuse = DimFuse(channels, out_channels, norm_layer, act_layer)

    def forward(self, x: Tensor) -> Tensor:
        """(N, D, H, W) -> (N, D_out, H, W), at any height and width."""
        conv, (fusion, local_norm, local_act) = self.dim_conv, self.dim_fuse.local
        if not (conv.dilation == 1 and fusion.bias is None and library.is_supported('dim_conv_fuse', x)
                and is_fusable(self.norm, self.act, x)):
            return self.dim_fuse(norm_act(self.norm, self.act, conv(x)))
        z, mean, var = dim_conv_fuse(
            x, conv.depth_weight, conv.height_weight, conv.width_weight, self.norm.weight, self.norm.bias,
            self.act.weight, fusion.weight.view(-1, 3), self.norm.running_mean, self.norm.running_var,
            self.norm.training, self.norm.eps)
        update_statistics(self.norm, mean, var, x)
        return self.dim_fuse.fuse_globally(norm_act(local_norm, local_act, z))

    def packed(self) -> list[Tensor] | None:
        """The seven tensors of :mod:`dicenet_mm.ops.inference`, or None if another normalisation, activation, width or
        dilation than the operator's is in use."""
        conv, fuse = self.dim_conv, self.dim_fuse
        affine, slope = scale_shift(self.norm), slope_of(self.act, fuse.local[0].weight.flatten())
        local, spatial = folded(*fuse.local), folded(*fuse.spatial)
        depth_wise = fuse.spatial[0].groups == fuse.spatial[0].in_channels == fuse.spatial[0].out_channels
        if affine is None or slope is None or not (local and spatial and depth_wise and conv.dilation == 1):
            return None
        by_branch = [value.view(-1, 3) for value in (*affine, slope)]
        return [conv.depth_weight, conv.height_weight, conv.width_weight,
                inference.pack_local(*by_branch, local[0].view(-1, 3), *local[1:]), inference.pack_spatial(*spatial),
                fuse.gate[1].weight.flatten(1), fuse.gate[3].weight.flatten(1)]

    def fused(self) -> FusedOp | None:
        """The inference form, or None if there is none."""
        packed = self.packed()
        if packed is None:
            return None
        weights, sizes = inference.pack_unit(packed)
        return FusedOp('dice_unit', [weights], sizes)
