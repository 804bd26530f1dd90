"""A moving average of the weights beside accumulated steps."""
from mmengine.hooks import EMAHook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class UpdateEMAHook(EMAHook):
    """mmengine's moving average of the weights, taken once an update of the weights instead of once an iteration.

    Its ``interval`` is the number of steps that ``optim_wrapper.accumulative_counts`` accumulates, whatever a command
    sets that to. An update is averaged in with the iteration that follows it. The average is what is validated, and
    what a checkpoint holds as its weights.

    Args:
        **kwargs: As for mmengine's ``EMAHook``, without ``interval``. With ``update_buffers=True`` the running
            statistics of batch normalisation are averaged, too; its counters stay as they were first.
    """

    #: Whether the model has the averaged weights for now, and the average the trained ones.
    swapped = False

    def before_run(self, runner) -> None:
        self.ema_cfg['interval'] = runner.cfg.get('optim_wrapper', {}).get('accumulative_counts', 1)
        super().before_run(runner)

    def _swap_ema_parameters(self) -> None:
        super()._swap_ema_parameters()
        self.swapped = not self.swapped

    def _swap_ema_state_dict(self, checkpoint: dict) -> None:
        if not self.swapped:  # while it validates, what is to be saved is already in its place
            super()._swap_ema_state_dict(checkpoint)
