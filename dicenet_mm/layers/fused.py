"""Inference forms of layers, each one operator. :func:`dicenet_mm.fuse` puts them in."""
from collections.abc import Callable, Sequence
from functools import wraps

import torch
from torch import Tensor, nn

from dicenet_mm.ops import inference

from .pyramid_pool import branch_size

NARROW = frozenset({torch.float16, torch.bfloat16})


def in_float32(forward: Callable) -> Callable:
    """A ``forward`` of float32 weights that takes half and bfloat16, too: computed in float32, returned as given."""
    @wraps(forward)
    def wide(self, *xs: Tensor):
        dtype = xs[0].dtype
        if dtype not in NARROW:
            return forward(self, *xs)
        out = forward(self, *(x.float() for x in xs))
        return tuple(y.to(dtype) for y in out) if isinstance(out, tuple) else out.to(dtype)
    return wide


class FusedLayer(nn.Module):
    """Packed weights as buffers, in named lists; the subclass applies an operator to them.

    Packed weights have a range that half has not (the knees of a DiCE unit do not fit), so they stay in float32 where
    the model is cast to half or bfloat16; what goes in and comes out is of the dtype of the input.

    Attributes:
        operator: What the operator is called in a sequence, if it can be part of one.
        numbers: What it takes there beside the weights.
    """

    operator: str | None = None
    numbers: Sequence[int] = ()

    def __init__(self, **packs: Sequence[Tensor]):
        super().__init__()
        self._names = {name: [f'{name}_{i}' for i in range(len(tensors))] for name, tensors in packs.items()}
        for name, tensors in packs.items():
            for key, tensor in zip(self._names[name], tensors):
                self.register_buffer(key, tensor.detach().clone())

    def __init_subclass__(cls):
        cls.forward = in_float32(cls.forward)

    def pack(self, name: str) -> list[Tensor]:
        return list(map(self._buffers.get, self._names[name]))

    def stand_for(self, layer: nn.Conv2d | nn.Linear) -> 'FusedLayer':
        """Let others read what they read of the layer: its numbers, its weight and its bias, folded as they are."""
        for name in layer.__constants__:
            setattr(self, name, getattr(layer, name))
        self._weight_shape = layer.weight.shape
        return self

    def __getattr__(self, name: str):
        if name in ('weight', 'bias') and '_weight_shape' in vars(self):
            weight, bias = self.unpack()
            return weight.view(self._weight_shape) if name == 'weight' else bias
        return super().__getattr__(name)

    def unpack(self) -> tuple[Tensor, Tensor]:
        """Weight, of the layer's number of elements, and bias (C_out,)."""
        return inference.unpack_point(self.pack('point'))[:2]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        def keep(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            moved = tensor.to(moved.device, torch.float32) if moved.dtype in NARROW else moved
            return moved.contiguous()  # whatever memory format the model gets
        return super()._apply(keep, recurse)


class FusedPointWise(FusedLayer):
    """A 1x1 convolution with bias and PReLU, (N, C_in, H, W) -> (N, C_out, H, W)."""

    operator = 'point_wise'

    def forward(self, x: Tensor) -> Tensor:
        return inference.point_wise(x, self.pack('point'))


class FusedLinear(FusedLayer):
    """A linear layer, (..., C_in) -> (..., C_out)."""

    operator = 'linear'

    def forward(self, x: Tensor) -> Tensor:
        y = inference.point_wise(x.reshape(-1, x.shape[-1], 1, 1), self.pack('point'))
        return y.view(*x.shape[:-1], y.shape[1])


class FusedSpatialConv(FusedLayer):
    """A depth-wise 3x3 convolution with bias and PReLU, (N, C, H, W) -> (N, C, H, W)."""

    operator = 'spatial_conv'

    def unpack(self) -> tuple[Tensor, Tensor]:
        spatial, = self.pack('spatial')
        return spatial[:, :9].contiguous(), spatial[:, 9]

    def forward(self, x: Tensor) -> Tensor:
        return inference.spatial_conv(x, *self.pack('spatial'))


class FusedGroupedConv(FusedLayer):
    """A 3x3 convolution in groups with bias and PReLU, (N, C_in, H, W) -> (N, C_out, H, W)."""

    operator = 'grouped_conv'

    def forward(self, x: Tensor) -> Tensor:
        return inference.grouped_conv(x, self.pack('point'))


class FusedStridedConv(FusedLayer):
    """A 3x3 convolution of stride 2 with bias and PReLU, (N, C_in, H, W) -> (N, C_out, ceil(H / 2), ceil(W / 2))."""

    operator = 'strided_conv'

    def forward(self, x: Tensor) -> Tensor:
        return inference.strided_conv(x, self.pack('point'))


class FusedMaxPool(FusedLayer):
    """Max pooling 3x3 of stride 2, (N, C, H, W) -> (N, C, ceil(H / 2), ceil(W / 2))."""

    operator = 'max_pool'

    def forward(self, x: Tensor) -> Tensor:
        return inference.max_pool(x)


class FusedAveragePool(FusedLayer):
    """Average pooling 3x3 of stride 2, (N, C, H, W) -> (N, C, ceil(H / 2), ceil(W / 2))."""

    operator = 'average_pool'

    def forward(self, x: Tensor) -> Tensor:
        return inference.average_pool(x)


class FusedGlobalAveragePool(FusedLayer):
    """Average pooling over the map, (N, C, H, W) -> (N, C, 1, 1)."""

    operator = 'global_average_pool'

    def forward(self, x: Tensor) -> Tensor:
        return inference.global_average_pool(x)


class FusedFlatten(FusedLayer):
    """(N, ...) -> (N, C)."""

    operator = 'flatten'

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


class FusedStem(FusedLayer):
    """:class:`FusedStridedConv` and :class:`FusedMaxPool`, (N, C_in, H, W) -> (N, C_out, ceil(H / 4), ceil(W / 4))."""

    operator = 'strided_conv_pool'

    def forward(self, x: Tensor) -> Tensor:
        return inference.strided_conv_pool(x, self.pack('point'))


class FlatLayer(FusedLayer):
    """Packed weights in one tensor, and the numbers that tell them apart."""

    def __init__(self, weights: Tensor, *layout: bool | Sequence[int]):
        super().__init__(weights=[weights])
        self.layout = layout

    @property
    def numbers(self) -> list[int]:
        return [n for part in self.layout for n in ([int(part)] if isinstance(part, bool) else part)]


class FusedDiCEUnit(FlatLayer):
    """A :class:`DiCEUnit` with as many output as input channels, (N, D, H, W) -> (N, D, H, W)."""

    operator = 'dice_unit'

    def forward(self, x: Tensor) -> Tensor:
        return inference.dice_unit(x, *self.pack('weights'), *self.layout)


class FusedDiCEStage(FlatLayer):
    """:class:`StridedDiCEBlock` and :class:`DiCEBlock`, one or several in a row.

    (N, C, H, W) -> (N, C_out, H, W), or (N, C_out, ceil(H / 2), ceil(W / 2)) where the first is a strided one.
    """

    operator = 'dice_stage'

    def forward(self, x: Tensor) -> Tensor:
        return inference.dice_stage(x, *self.pack('weights'), *self.layout)


class FusedPyramidPool(FusedLayer):
    """An :class:`EfficientPyramidPool`, (N, C_in, H, W) -> (N, C_out, H, W).

    The merging convolution has one output for each channel of the branches: it is the sum of a depth-wise convolution
    of each branch, so that channels never meet, and each goes through the whole pool before the next. The branches'
    normalisation is folded into the convolutions before it, since resizing keeps scale and shift.
    """

    def __init__(self, scales: Sequence[float], **packs: Sequence[Tensor]):
        super().__init__(**packs)
        self.scales = scales

    def forward(self, x: Tensor) -> Tensor:
        sizes = [side for scale in self.scales for side in branch_size(x.shape[2:], scale)]
        x = inference.point_wise(x, self.pack('project'))
        return inference.point_wise(inference.pyramid_pool(x, *self.pack('pool'), sizes), self.pack('out'))


class FusedGatedConv(FusedLayer):
    """An :class:`EfficientPointWise`, (N, C_in, H, W) -> (N, C_out, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        gate = inference.point_wise(inference.global_average_pool(x), self.pack('gate')).sigmoid()
        return inference.grouped_conv(x, self.pack('expand'), gate)


class FusedUpsampleAdd(FusedLayer):
    """An :class:`UpsampleAdd`, (N, C, h, w) and (N, C, H, W) -> (N, C, H, W)."""

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        return inference.upsample_add(coarse, fine, *self.pack('parameters'))
