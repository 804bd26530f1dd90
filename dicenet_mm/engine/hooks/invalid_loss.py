"""Training that has diverged is stopped."""
import math

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import find_latest_checkpoint

from dicenet_mm.errors import UserError


@HOOKS.register_module()
class InvalidLossHook(Hook):
    """Stops a training whose loss is infinite or not a number, before such weights are saved over good ones.

    The loss is read every iteration, which costs nothing more: mmengine's log reads it anyway.
    """

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Check the loss.

        Raises:
            UserError: If it is not finite, naming the iteration and the newest checkpoint.
        """
        loss = outputs['loss'].item()
        if math.isfinite(loss):
            return
        parts = {name: value.item() for name, value in outputs.items() if name.startswith('loss') and name != 'loss'}
        guilty = ', '.join(name for name, value in parts.items() if not math.isfinite(value)) or 'loss'
        checkpoint = find_latest_checkpoint(runner.work_dir)
        saved = f'the last good checkpoint is {checkpoint}' if checkpoint else 'no checkpoint was saved yet'
        raise UserError(f'{guilty} became {loss} in iteration {runner.iter + 1} (epoch {runner.epoch + 1}): {saved}. '
                        'Lower optim_wrapper.optimizer.lr, lengthen the warm-up, or set optim_wrapper.clip_grad')
