"""Small blocks that every network of the toolkit is made of."""
from functools import partial
from typing import Callable

from torch import nn
from torchvision.ops import Conv2dNormActivation

#: Makes a layer from a number of channels: ``nn.BatchNorm2d`` and ``nn.PReLU`` are two of them.
LayerFactory = Callable[[int], nn.Module]


def conv_norm_act(in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1, groups: int = 1,
                  dilation: int = 1, norm_layer: LayerFactory = nn.BatchNorm2d,
                  act_layer: LayerFactory = nn.PReLU) -> Conv2dNormActivation:
    """A bias-free convolution padded to the same size, normalisation, and an activation that knows its channels."""
    return Conv2dNormActivation(in_channels, out_channels, kernel_size, stride, groups=groups, dilation=dilation,
                                norm_layer=norm_layer, activation_layer=partial(act_layer, out_channels),
                                inplace=None, bias=False)
