"""Training goes on when a batch does not fit into the memory."""
import gc
import math
from collections.abc import Sequence
from functools import partial

import torch
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.registry import HOOKS
from torch import nn

from dicenet_mm.errors import is_out_of_memory


@HOOKS.register_module()
class SplitBatchHook(Hook):
    """Halves what goes through the model at a time when memory runs out, and goes on.

    The batch stays what it is: the gradients of its parts are added up, weighted by their images. So do schedule, rate
    and order of the data. What changes is what batch normalisation sees, two images at least. Of several processes each
    waits for the others after a batch, so there the error stays one.
    """

    def __init__(self):
        #: Images that go through the model at a time.
        self.limit = math.inf

    def before_train(self, runner) -> None:
        if get_world_size() == 1:
            self.whole_step = runner.model.train_step
            runner.model.train_step = partial(self.train_step, runner)

    def after_train(self, runner) -> None:
        vars(runner.model).pop('train_step', None)

    def train_step(self, runner, data: dict, optim_wrapper: OptimWrapper) -> dict[str, torch.Tensor]:
        """The model's own ``train_step``, in as many parts as it takes."""
        size, least = _size(data), _least(runner.model)
        while True:
            parts = self._parts(size, least)
            try:
                return self._step(data, parts, optim_wrapper)
            except (RuntimeError, MemoryError) as error:
                before, self.limit = self.limit, math.ceil(max(last - first for first, last in parts) / 2)
                if not is_out_of_memory(error) or len(self._parts(size, least)) == len(parts):
                    self.limit = before
                    raise
            # no longer inside the except clause, whose error holds on to what the step had computed
            optim_wrapper.zero_grad()
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            runner.logger.warning(
                f'the memory does not hold a batch of {size} images: from here on {self.limit} go through the model at '
                'a time, and their gradients are added up. Batch normalisation sees as many')

    def _parts(self, size: int, least: int) -> list[tuple[int, int]]:
        """First and last (exclusive) image of each part of a batch, within the limit if they have enough images so."""
        count = max(1, min(math.ceil(size / self.limit), size // least))
        ends = [round(size * part / count) for part in range(count + 1)]
        return list(zip(ends, ends[1:]))

    def _step(self, data: dict, parts: list[tuple[int, int]], optim_wrapper: OptimWrapper) -> dict[str, torch.Tensor]:
        if len(parts) == 1:
            return self.whole_step(data, optim_wrapper=optim_wrapper)
        total, (_, size) = {}, parts[-1]
        for first, last in parts:
            share = (last - first) / size
            found = self.whole_step({key: values[first:last] for key, values in data.items()},
                                    optim_wrapper=_Part(optim_wrapper, share, last == size))
            for name, value in found.items():
                total[name] = total.get(name, 0) + share * value
        return total


class _Part:
    """An optimizer to the model that is given a part of a batch: it steps after the last one."""

    def __init__(self, optim_wrapper: OptimWrapper, share: float, last: bool):
        self.optim_wrapper, self.share, self.last = optim_wrapper, share, last

    def __getattr__(self, name: str):
        return getattr(self.optim_wrapper, name)

    def update_params(self, loss: torch.Tensor, *args, **kwargs) -> None:
        if self.last:
            self.optim_wrapper.update_params(self.share * loss, *args, **kwargs)
            return
        self.optim_wrapper.backward(self.optim_wrapper.scale_loss(self.share * loss))
        self.optim_wrapper._inner_count -= 1  # the batch counts once, where steps are accumulated


def _size(data: dict) -> int:
    """The images of a batch, or 1 of one that cannot be split."""
    values = list(data.values()) if isinstance(data, dict) else []
    sizes = {len(value) if isinstance(value, (torch.Tensor, Sequence)) else 0 for value in values}
    return sizes.pop() if len(sizes) == 1 else 1


def _least(model: nn.Module) -> int:
    return 2 if any(isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training
                    for module in model.modules()) else 1
