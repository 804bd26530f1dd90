"""A model's pass as a CUDA graph: recorded once for each shape of the input, replayed afterwards."""
import threading
from collections import OrderedDict
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from dicenet_mm.errors import UserError

MAX_GRAPHS = 16  # each keeps the memory of a pass
WARM_UPS = 3  # passes before the recording, in which libraries choose their kernels and take their memory


class GraphedModel(nn.Module):
    """Replays a model on CUDA as one graph for each shape, dtype and device of its input, (N, C, H, W).

    What the model launches is recorded at the first call with an input of that kind, and costs one launch afterwards.
    Inputs on a CPU, and calls while a gradient is wanted of the input, run the model as it is. It may be called from
    one thread at a time.

    Args:
        model: Takes one tensor and returns tensors in tuples, lists or dicts. What it does must depend on the input's
            shape alone, not on its values.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model
        self._graphs: OrderedDict[tuple, Callable[[Tensor], Any]] = OrderedDict()
        self._busy = threading.Lock()

    def forward(self, x: Tensor) -> Any:
        """What the model returns, in tensors of their own.

        Raises:
            RuntimeError: If another thread is in a call.
            UserError: If the model's pass cannot be recorded.
        """
        if not x.is_cuda or torch.is_grad_enabled() and x.requires_grad:
            return self.model(x)
        if not self._busy.acquire(blocking=False):
            raise RuntimeError('a model fused with graph=True was called from two threads at once, and its graphs '
                               'share their memory: give each thread a copy of its own, or fuse without graph=True')
        try:
            key = (x.shape, x.dtype, x.device, torch.is_autocast_enabled('cuda'), torch.get_autocast_dtype('cuda'))
            if key in self._graphs:
                self._graphs.move_to_end(key)
            else:
                while len(self._graphs) >= MAX_GRAPHS:
                    self._graphs.popitem(last=False)
                self._graphs[key] = record(self.model, x)
            return self._graphs[key](x)
        finally:
            self._busy.release()

    def _apply(self, fn, recurse=True):
        self._graphs.clear()  # they hold where the parameters were
        return super()._apply(fn, recurse)

    def __getstate__(self) -> dict:
        return {**super().__getstate__(), '_graphs': OrderedDict(), '_busy': None}

    def __setstate__(self, state: dict) -> None:
        super().__setstate__(state)
        self._busy = threading.Lock()

    def __deepcopy__(self, memo: dict) -> 'GraphedModel':
        return type(self)(deepcopy(self.model, memo)).train(self.training)


def record(model: nn.Module, x: Tensor) -> Callable[[Tensor], Any]:
    """Record a pass over inputs like ``x``; returns what replays it.

    Raises:
        UserError: If something in it cannot be recorded.
    """
    graph, static = torch.cuda.CUDAGraph(), torch.empty_like(x, memory_format=torch.contiguous_format).copy_(x)
    with torch.cuda.device(x.device), torch.no_grad():
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UPS):
                model(static)
        torch.cuda.current_stream().wait_stream(stream)
        try:
            with torch.cuda.graph(graph):
                outputs = model(static)
        except RuntimeError as error:
            raise UserError(f'{type(model).__name__} cannot be recorded as a CUDA graph, since what it does depends on '
                            'more than the shape of its input: fuse without graph=True, or fuse the part of it that '
                            f'takes and returns tensors, such as the backbone ({error})') from error

    def replay(x: Tensor) -> Any:
        static.copy_(x)
        graph.replay()
        return tree_map(lambda value: value.clone() if isinstance(value, Tensor) else value, outputs)
    return replay
