"""Fused layers in a row, called as one operator."""
from collections import OrderedDict
from collections.abc import Mapping
from itertools import accumulate

import torch
from torch import Tensor, nn

from dicenet_mm.ops import inference, rows

from .fused_op import FusedOp, in_float32


class FusedSequence(nn.Sequential):
    """Modules in a row that consist of fused layers, as one operator: (N, C, H, W) -> what the last of them returns.

    A layer's weights drive the interpreter out of the caches. It takes 20 us and more to come back after each, as long
    as a convolution of a small map. So the layers are listed once; modules that are put in later do not count.
    """

    def __init__(self, modules: Mapping[str, nn.Module]):
        super().__init__(OrderedDict(modules))
        self._layers = [layer for module in modules.values() for layer in layers_of(module)]
        self._kept = [len(self._layers) - 1]
        self._list()

    def _list(self) -> None:
        self._operators = ' '.join(layer.operator for layer in self._layers)
        self._counts = [n for layer in self._layers for n in (len(layer.weights), len(layer.sizes))]
        self._sizes = [n for layer in self._layers for n in layer.sizes]

    def _apply(self, fn, recurse=True):
        super()._apply(fn, recurse)
        self._list()  # moved to another kind of device, weights are packed anew
        return self

    def takes(self, x: Tensor) -> bool:
        """Each layer says by itself in which dtype it computes."""
        return rows.is_kept_on(x.device)

    def _run(self, x: Tensor) -> list[Tensor]:
        weights = [tensor for layer in self._layers for tensor in layer.weights]
        return torch.ops.dicenet_mm.sequence.default(x, self._operators, weights, self._counts, self._sizes,
                                                     self._kept)

    @in_float32
    def forward(self, x: Tensor) -> Tensor:
        return self._run(x)[0] if inference.compiled(x) else super().forward(x)

    def __getitem__(self, index: int | slice) -> nn.Module:
        if isinstance(index, slice):
            return nn.Sequential(OrderedDict(list(self._modules.items())[index]))
        return super().__getitem__(index)


class FusedLevels(FusedSequence):
    """A backbone of fused levels, (N, C, H, W) -> a map for each of ``out_indices``."""

    def __init__(self, levels: Mapping[str, nn.Module], out_indices: tuple[int, ...], out_channels: tuple[int, ...]):
        super().__init__(levels)
        self.out_indices = out_indices
        self.out_channels = out_channels
        ends = list(accumulate(len(layers_of(level)) for level in levels.values()))
        self._kept = [ends[i] - 1 for i in out_indices]

    @in_float32
    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        if inference.compiled(x):
            return tuple(self._run(x))
        maps = list(accumulate(self, lambda y, level: level(y), initial=x))[1:]
        return tuple(maps[i] for i in self.out_indices)


def layers_of(module: nn.Module) -> list[FusedOp] | None:
    """The fused layers that a module runs one after the other, or None if there is more to it."""
    if isinstance(module, FusedOp):
        return [module]
    if type(module) in (nn.Identity, nn.Dropout):
        return []
    if type(module) not in (nn.Sequential, FusedSequence):
        return None
    parts = list(map(layers_of, module))
    return None if None in parts else [layer for part in parts for layer in part]
