"""A layer's inference form: one operator, and the packed weights that it is called with."""
from collections.abc import Callable, Sequence
from functools import wraps

import torch
from torch import Tensor, nn

from dicenet_mm.ops import inference, rows
from dicenet_mm.ops.rows import NARROW


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
    'dice_stage': lambda x, w, sizes: (rows if len(w) == 2 else inference).dice_stage(x, *w, bool(sizes[0]), sizes[1:]),
    'pyramid_pool': lambda x, w, sizes: inference.pyramid_pool(x, *w, sizes),
    'upsample_add': lambda coarse, fine, w, sizes: inference.upsample_add(coarse, fine, *w),
}
#: Those that hold matrices, which CUDA takes by rows; and those that take half and bfloat16 there.
CONVOLUTIONS = frozenset({'point_wise', 'linear', 'grouped_conv', 'gated_conv', 'strided_conv', 'strided_conv_pool'})
NARROW_BY_ROWS = CONVOLUTIONS | {'dice_stage', 'dice_unit', 'max_pool', 'average_pool', 'global_average_pool',
                                 'flatten'}


def in_float32(forward: Callable) -> Callable:
    """A ``forward`` of float32 weights that takes half and bfloat16, too: computed in float32, returned as given,
    where ``takes`` does not say that it computes in them."""
    @wraps(forward)
    def wide(self, *xs: Tensor, **options):
        dtype = xs[0].dtype
        takes = getattr(self, 'takes', None)
        if dtype not in NARROW or takes and takes(xs[0]):
            return forward(self, *xs, **options)
        out = forward(self, *(x.float() for x in xs), **options)
        return tuple(y.to(dtype) for y in out) if isinstance(out, tuple) else out.to(dtype)
    return wide


MATRIX = 'matrix'  # the buffer that weights by rows begin with


class FusedOp(nn.Module):
    """An operator of :mod:`dicenet_mm.ops.inference` with its packed weights, as buffers.

    Packed weights have a range that half has not (the knees of a DiCE unit do not fit), so they stay in float32 where
    the model is cast to half or bfloat16; what goes in and comes out is of the dtype of the input. On CUDA matrices of
    convolutions lie by rows (:mod:`dicenet_mm.ops.rows`) and are cast: moving the model there packs them anew, once.

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
        self._lay_for_device()
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

    def takes(self, x: Tensor) -> bool:
        """Whether the operator computes in the dtype of ``x``, half or bfloat16."""
        return self.operator in NARROW_BY_ROWS and rows.is_kept_on(x.device)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        def keep(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            narrow = moved.dtype in NARROW
            if narrow and not (tensor is matrix and rows.is_kept_on(moved.device) and moved.isfinite().all()):
                moved = tensor.to(moved.device, torch.float32)
            return moved.contiguous()  # whatever memory format the model gets
        matrix = self._buffers.get(MATRIX)
        super()._apply(keep, recurse)
        self._lay_for_device()
        return self

    def _lay_for_device(self) -> None:
        """Pack the weights anew where they came to another kind of device."""
        weights, by_rows = self.weights, MATRIX in self._buffers
        if (self.operator not in CONVOLUTIONS and self.operator != 'dice_stage'
                or by_rows == rows.is_kept_on(weights[0].device)):
            return
        by_rows = not by_rows
        if self.operator == 'dice_stage':
            shape = bool(self.sizes[0]), self.sizes[1:]
            weights = rows.stage_rows(*weights, *shape) if by_rows else [rows.stage_tiles(*weights, *shape)]
        elif by_rows:
            self._groups = len(weights) // 2
            weights = rows.conv_rows(weights)
        else:
            weights = rows.conv_tiles(weights, self._groups)
        self._buffers.clear()
        names = (MATRIX, 'packed_0') if by_rows else (f'packed_{i}' for i in range(len(weights)))
        for name, tensor in zip(names, weights):
            self.register_buffer(name, tensor)

    def extra_repr(self) -> str:
        return ', '.join([self.operator, *(f'{tuple(tensor.shape)}' for tensor in self.weights)])
