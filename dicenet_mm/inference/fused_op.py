"""A layer's inference form: one operator, and the packed weights that it is called with."""
from collections.abc import Callable, Sequence
from functools import wraps

import torch
from torch import Tensor, nn

from dicenet_mm.ops import inference

NARROW = frozenset({torch.float16, torch.bfloat16})


def _linear(x: Tensor, weights: list[Tensor]) -> Tensor:
    y = inference.point_wise(x.reshape(-1, x.shape[-1], 1, 1), weights)
    return y.view(*x.shape[:-1], y.shape[1])


#: How an operator takes its inputs, its weights and its sizes.
CALLS = {
    'point_wise': lambda x, w, sizes: inference.point_wise(x, w),
    'linear': lambda x, w, sizes: _linear(x, w),
    'spatial_conv': lambda x, w, sizes: inference.spatial_conv(x, *w),
    'grouped_conv': lambda x, w, sizes: inference.grouped_conv(x, w),
    'gated_conv': lambda x, gate, w, sizes: inference.grouped_conv(x, w, gate),
    'strided_conv': lambda x, w, sizes: inference.strided_conv(x, w),
    'strided_conv_pool': lambda x, w, sizes: inference.strided_conv_pool(x, w),
    'max_pool': lambda x, w, sizes: inference.max_pool(x),
    'average_pool': lambda x, w, sizes: inference.average_pool(x),
    'global_average_pool': lambda x, w, sizes: inference.global_average_pool(x),
    'flatten': lambda x, w, sizes: x.flatten(1),
    'dice_unit': lambda x, w, sizes: inference.dice_unit(x, *w, sizes),
    'dice_stage': lambda x, w, sizes: inference.dice_stage(x, *w, bool(sizes[0]), sizes[1:]),
    'pyramid_pool': lambda x, w, sizes: inference.pyramid_pool(x, *w, sizes),
    'upsample_add': lambda coarse, fine, w, sizes: inference.upsample_add(coarse, fine, *w),
}


def in_float32(forward: Callable) -> Callable:
    """A ``forward`` of float32 weights that takes half and bfloat16, too: computed in float32, returned as given."""
    @wraps(forward)
    def wide(self, *xs: Tensor, **options):
        dtype = xs[0].dtype
        if dtype not in NARROW:
            return forward(self, *xs, **options)
        out = forward(self, *(x.float() for x in xs), **options)
        return tuple(y.to(dtype) for y in out) if isinstance(out, tuple) else out.to(dtype)
    return wide


class FusedOp(nn.Module):
    """An operator of :mod:`dicenet_mm.ops.inference` with its packed weights, as buffers.

    Packed weights have a range that half has not (the knees of a DiCE unit do not fit), so they stay in float32 where
    the model is cast to half or bfloat16; what goes in and comes out is of the dtype of the input.

    Args:
        operator: Its name, also in a sequence (:mod:`dicenet_mm.inference.sequence`).
        weights: What it takes there as tensors; copied.
        sizes: What it takes there as numbers.
        layer: A convolution or linear layer, of which others may read the numbers, the weight and the bias: these stay
            readable, folded as they are.
    """

    def __init__(self, operator: str, weights: Sequence[Tensor] = (), sizes: Sequence[int] = (),
                 layer: nn.Conv2d | nn.Linear | None = None):
        super().__init__()
        self.operator = operator
        self.sizes = list(map(int, sizes))
        for index, tensor in enumerate(weights):
            self.register_buffer(f'packed_{index}', tensor.detach().clone())
        if layer is not None:
            for name in layer.__constants__:
                setattr(self, name, getattr(layer, name))
            self._weight_shape = layer.weight.shape

    @property
    def weights(self) -> list[Tensor]:
        return list(self._buffers.values())

    @in_float32
    def forward(self, *xs: Tensor, sizes: Sequence[int] | None = None) -> Tensor:
        """Apply the operator; ``sizes`` are for those that depend on the input's."""
        return CALLS[self.operator](*xs, self.weights, self.sizes if sizes is None else sizes)

    def __getattr__(self, name: str):
        if name in ('weight', 'bias') and '_weight_shape' in vars(self):
            unpack = inference.unpack_spatial if self.operator == 'spatial_conv' else inference.unpack_point
            weight, bias, _ = unpack(self.weights)
            return weight.reshape(self._weight_shape) if name == 'weight' else bias
        return super().__getattr__(name)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        def keep(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            moved = tensor.to(moved.device, torch.float32) if moved.dtype in NARROW else moved
            return moved.contiguous()  # whatever memory format the model gets
        return super()._apply(keep, recurse)

    def extra_repr(self) -> str:
        return ', '.join([self.operator, *(f'{tuple(tensor.shape)}' for tensor in self.weights)])
