"""Stopping when the machine is wanted back."""
import os
import signal
import threading
from pathlib import Path

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import EMAHook, Hook
from mmengine.registry import HOOKS

from dicenet_mm.errors import Stopped

from .ema import UpdateEMAHook
from .plain_checkpoint import PlainCheckpointHook

SIGNALS = (signal.SIGTERM, signal.SIGHUP)

# Processes that are forked meanwhile, such as those that metrics share their work with, are ended by their parent with
# SIGTERM. One that comes before a child has run would be taken by a handler in Python and forgotten when Python starts
# in the child, whose parent then waits for ever: so it is held back until the child has no handler.
_listening = []
_forking = threading.local()


def _before_fork() -> None:
    _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS if _listening else ())


def _after_fork_in_parent() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _forking.mask)


def _after_fork_in_child() -> None:
    for number in SIGNALS if _listening else ():
        signal.signal(number, signal.SIG_DFL)
    _listening.clear()
    signal.pthread_sigmask(signal.SIG_SETMASK, _forking.mask)


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)


@HOOKS.register_module()
class StopHook(Hook):
    """Saves a checkpoint and stops after the step, or the image of a validation, in which SIGTERM or SIGHUP came.

    A second signal leaves at once. With several processes, all stop after the same step if one of them is told to.
    """

    priority = 'LOWEST'  # after all that changes what is saved

    def __init__(self):
        self.received = None
        self.before = {}

    def before_train(self, runner) -> None:
        if threading.current_thread() is threading.main_thread():  # elsewhere there are no signals
            _listening.append(self)
            self.before = {number: signal.signal(number, self._receive) for number in SIGNALS}

    def after_train(self, runner) -> None:
        if self in _listening:
            _listening.remove(self)
            for number, handler in self.before.items():
                signal.signal(number, handler)

    def _receive(self, number: int, frame: object) -> None:
        if self.received is not None:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self.received = number

    def _asked(self) -> int:
        """The signal that this or another process has had, or 0."""
        if get_world_size() == 1:
            return self.received or 0
        number = torch.tensor(self.received or 0)
        all_reduce(number, 'max')
        return int(number)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Save and stop.

        Raises:
            Stopped: If a signal has come.
        """
        if self.received is None and get_world_size() == 1:
            return
        number = self._asked()
        if number:
            self._stop(runner, number, runner.iter + 1)

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Save and stop; the validation is made up for on resuming.

        Raises:
            Stopped: If a signal has come.
        """
        if self.received is None or get_world_size() > 1 or not getattr(runner.train_loop, 'validation_due', False):
            return  # several processes wait for the next step: they need not have the same number of images
        if any(isinstance(hook, EMAHook) and not isinstance(hook, UpdateEMAHook) for hook in runner.hooks):
            return  # whose averages are in the model's place for now
        self._stop(runner, self.received, runner.iter)

    def _stop(self, runner, number: int, step: int) -> None:
        self.after_train(runner)
        keeper = next((hook for hook in runner.hooks if isinstance(hook, PlainCheckpointHook)), None)
        name = signal.Signals(number).name
        if keeper is None:
            raise Stopped(f'stopped by {name} after step {step}; nothing was saved, since there is no '
                          'PlainCheckpointHook', number)
        file = keeper.save_stopped(runner, step)
        raise Stopped(f'stopped by {name} after step {step}, which is saved in {Path(file)}: continue with the same '
                      'command and --resume', number)
