"""Learning rates of the paper's recipes, as factors of the base rate that are constant within an epoch.

Both multiply the current rate of each group by the factor's change, so that they chain with a warm-up, keep the
ratio between groups, and resume.
"""
from collections.abc import Sequence

from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin
from mmengine.optim.scheduler.param_scheduler import _ParamScheduler
from mmengine.registry import PARAM_SCHEDULERS

#: Epochs of a cycle: the rate falls from 5 b to b in equal steps.
CYCLE = 5


class _FactorLR(LRSchedulerMixin, _ParamScheduler):
    """A rate that is :meth:`factor` times the base rate."""

    def factor(self, epoch: int) -> float:
        """The rate at an epoch, counted from ``begin``, as a multiple of the base rate."""
        raise NotImplementedError

    def _get_value(self) -> list[float]:
        change = self.factor(self.last_step)
        if self.last_step > 0:
            change /= self.factor(self.last_step - 1)
        return [group[self.param_name] * change for group in self.optimizer.param_groups]


@PARAM_SCHEDULERS.register_module()
class CyclicLR(_FactorLR):
    """Cyclic rate (Section 4.1): b, then 5b 4b 3b 2b b over and over, halved at each milestone.

    Args:
        optimizer: Optimizer or its wrapper.
        milestones: Epochs from which the rate is halved once more.
        **kwargs: ``begin`` and ``end`` epochs, as in every scheduler of mmengine.
    """

    def __init__(self, optimizer, milestones: Sequence[int] = (51, 101, 131, 161, 191, 221, 251, 281), **kwargs):
        self.milestones = tuple(milestones)
        super().__init__(optimizer, **kwargs)

    def factor(self, epoch: int) -> float:
        return _cycle(epoch) / 2**sum(epoch >= milestone for milestone in self.milestones)


@PARAM_SCHEDULERS.register_module()
class HybridLR(_FactorLR):
    """Hybrid rate (Section 4.1): cyclic without halving up to epoch 60, then linear from b towards 0 at the end.

    Args:
        optimizer: Optimizer or its wrapper.
        end: Epochs of the training, E.
        linear_from: The last cyclic epoch.
        **kwargs: ``begin``, as in every scheduler of mmengine.
    """

    def __init__(self, optimizer, end: int, linear_from: int = 60, **kwargs):
        self.linear_from = linear_from
        super().__init__(optimizer, end=end, **kwargs)

    def factor(self, epoch: int) -> float:
        if epoch <= self.linear_from:
            return _cycle(epoch)
        return 1 - (epoch - self.linear_from) / (self.end - self.begin - self.linear_from)


def _cycle(epoch: int) -> float:
    return 1 if epoch == 0 else CYCLE - (epoch - 1) % CYCLE
