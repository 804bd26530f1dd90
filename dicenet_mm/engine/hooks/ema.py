"""A moving average of the weights beside accumulated steps."""
import torch
from mmengine.hooks import EMAHook
from mmengine.registry import HOOKS

from dicenet_mm.errors import UserError


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

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """See mmengine.

        Raises:
            UserError: If a checkpoint to resume from has an average of other weights.
        """
        averages = checkpoint.get('ema_state_dict')
        if runner._resume and averages is not None:
            own = self.ema_model.state_dict()
            other = [name for name in own if not isinstance(averages, dict) or not isinstance(
                averages.get(name), torch.Tensor) or averages[name].shape != own[name].shape]
            if other:
                raise UserError(f'the checkpoint to resume from has a moving average of other weights ({other[0]} is '
                                'not as in this model): give the configuration it was made with, or leave --resume out')
        super().after_load_checkpoint(runner, checkpoint)

    def _swap_ema_parameters(self) -> None:
        super()._swap_ema_parameters()
        self.swapped = not self.swapped

    def _swap_ema_state_dict(self, checkpoint: dict) -> None:
        if not self.swapped:  # while it validates, what is to be saved is already in its place
            super()._swap_ema_state_dict(checkpoint)
