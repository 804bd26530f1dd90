"""How far a training or a test is: a live line on a terminal, a line every half minute elsewhere."""
import logging
import time
from contextlib import ExitStack

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm


@HOOKS.register_module()
class ProgressBarHook(Hook):
    """Shows epoch, iterations, time left, loss and rate in a line below the log.

    Where the output is no terminal, it logs the same where nothing else has been logged for a while.

    Args:
        every: Seconds between two such lines.
    """

    priority = 'VERY_LOW'

    def __init__(self, every: float = 30.):
        self.every = every
        self.bars, self.shown = [], ExitStack()

    def before_run(self, runner) -> None:
        self.shown = ExitStack()
        self.last = _LastRecord()
        runner.logger.addHandler(self.last)
        self.shown.callback(runner.logger.removeHandler, self.last)

    def after_run(self, runner) -> None:
        self.shown.close()

    def before_train(self, runner) -> None:
        self._open(runner, runner.max_iters, runner.iter)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        shown = {name: runner.message_hub.get_scalar(f'train/{name}').current() for name in ('loss', 'lr')
                 if f'train/{name}' in runner.message_hub.log_scalars}
        by_epoch = runner.max_epochs and runner.max_epochs > 1
        name = f'epoch {runner.epoch + 1}/{runner.max_epochs}' if by_epoch else 'training'
        self._step(runner, name, {key: f'{value:.4g}' for key, value in shown.items()})

    def after_train(self, runner) -> None:
        self._close()

    def before_val(self, runner) -> None:
        self._open(runner, len(runner.val_dataloader))

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        self._step(runner, 'validation')

    def after_val(self, runner) -> None:
        self._close()

    def before_test(self, runner) -> None:
        self._open(runner, len(runner.test_dataloader))

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        self._step(runner, 'test')

    def after_test(self, runner) -> None:
        self._close()

    def _open(self, runner, total: int, initial: int = 0) -> None:
        bar = tqdm(total=total, initial=initial, dynamic_ncols=True, unit='it', smoothing=0.05,
                   leave=not self.bars, position=len(self.bars),
                   disable=None if is_main_process() else True)  # None: only on a terminal
        bar.done, bar.begun, bar.before = initial, time.monotonic(), initial
        stack = ExitStack()
        stack.callback(bar.close)
        if not bar.disable and not self.bars:
            stack.enter_context(logging_redirect_tqdm([runner.logger]))  # log lines go above the bar
        self.bars.append((bar, stack))

    def _close(self) -> None:
        self.bars.pop()[1].close()

    def _step(self, runner, name: str, shown: dict[str, str] | None = None) -> None:
        bar, _ = self.bars[-1]
        bar.done += 1
        if not bar.disable:
            bar.set_description(name, refresh=False)
            bar.set_postfix(shown or {}, refresh=False)
            bar.update()
        elif is_main_process() and time.monotonic() - self.last.time >= self.every:
            took = time.monotonic() - bar.begun
            left = took / (bar.done - bar.before) * (bar.total - bar.done)
            told = ''.join(f', {key} {value}' for key, value in (shown or {}).items())
            runner.logger.info(f'{name}: {bar.done} of {bar.total} iterations in {tqdm.format_interval(took)}, '
                               f'{tqdm.format_interval(left)} left{told}')


class _LastRecord(logging.Handler):
    """Remembers when something was logged last."""

    def __init__(self):
        super().__init__(logging.INFO)
        self.time = time.monotonic()

    def emit(self, record: logging.LogRecord) -> None:
        self.time = time.monotonic()
