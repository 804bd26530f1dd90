"""A live line while training on a terminal."""
from contextlib import ExitStack

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm


@HOOKS.register_module()
class ProgressBarHook(Hook):
    """Shows epoch, iterations, time left, loss and rate in a line below the log, on a terminal only."""

    priority = 'VERY_LOW'

    def before_train(self, runner) -> None:
        self.shown = ExitStack()
        self.bar = self.shown.enter_context(tqdm(
            total=runner.max_iters, initial=runner.iter, dynamic_ncols=True, unit='it', smoothing=0.05,
            disable=None if is_main_process() else True))  # None: only on a terminal
        if not self.bar.disable:
            self.shown.enter_context(logging_redirect_tqdm([runner.logger]))  # log lines go above the bar

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        if self.bar.disable:
            return
        self.bar.set_description(f'epoch {runner.epoch + 1}/{runner.max_epochs}', refresh=False)
        shown = {name: runner.message_hub.get_scalar(f'train/{name}').current() for name in ('loss', 'lr')
                 if f'train/{name}' in runner.message_hub.log_scalars}
        self.bar.set_postfix({name: f'{value:.4g}' for name, value in shown.items()}, refresh=False)
        self.bar.update()

    def after_train(self, runner) -> None:
        self.shown.close()
