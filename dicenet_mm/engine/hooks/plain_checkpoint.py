"""Checkpoints of plain data, whose writing never costs an earlier one."""
import contextlib
import os
from pathlib import Path

import numpy as np
import torch
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.logging import HistoryBuffer
from mmengine.registry import HOOKS


@HOOKS.register_module()
class PlainCheckpointHook(CheckpointHook):
    """mmengine's CheckpointHook, with files that torch alone reads and that outlive a kill or a full disk.

    What is saved besides the weights is numbers, text, tensors, and lists, tuples and dicts of them, so that
    `torch.load(path, weights_only=True)` needs nothing of mmengine or NumPy. Resuming puts the log history
    back. A file gets its name only once it is whole, and the ones it replaces are removed after that (a kill
    in between leaves one file more than `max_keep_ckpts`).

    Takes the arguments of CheckpointHook, whose place it takes: `default_hooks = dict(checkpoint=dict(
    type='PlainCheckpointHook', interval=1))`. Checkpoints of plain CheckpointHook can be resumed from, too.
    """

    def before_run(self, runner):
        """Points the file `last_checkpoint` to the newest checkpoint where a cut-off write left it empty."""
        pointer = Path(runner.work_dir, 'last_checkpoint')
        if not pointer.is_file() or pointer.read_text().strip():
            return
        saved = pointer.parent.glob(self.filename_tmpl.format('*'))
        newest = max(saved, key=lambda path: path.stat().st_mtime, default=None)
        if newest:
            WholeFileBackend().put_text(str(newest), pointer)

    def before_train(self, runner):
        super().before_train(runner)
        if isinstance(self.file_backend, LocalBackend):
            self.backend_args = dict(backend='whole_file')

    def before_save_checkpoint(self, runner, checkpoint):
        """Makes all but the weights plain.

        Raises:
            TypeError: Something to be saved has no plain form.
        """
        for key in checkpoint.keys() & {'meta', 'message_hub', 'optimizer', 'param_schedulers'}:
            checkpoint[key] = _plain(checkpoint[key], key)

    def after_load_checkpoint(self, runner, checkpoint):
        """Puts the log history back into mmengine's buffers."""
        scalars = checkpoint.get('message_hub', {}).get('log_scalars', {})
        for name, history in scalars.items():
            if isinstance(history, dict):
                scalars[name] = HistoryBuffer(
                    history['log_history'].numpy(force=True), history['count_history'].numpy(force=True),
                    history['max_length'])

    def _save_checkpoint_with_step(self, runner, step, meta):
        with self._removal_after_saving():
            super()._save_checkpoint_with_step(runner, step, meta)

    def _save_best_checkpoint(self, runner, metrics):
        with self._removal_after_saving():
            super()._save_best_checkpoint(runner, metrics)

    @contextlib.contextmanager
    def _removal_after_saving(self):
        """Holds back what CheckpointHook removes, which it does before it writes."""
        remove, stale = self.file_backend.remove, []
        self.file_backend.remove = stale.append
        try:
            yield
        finally:
            self.file_backend.remove = remove
        written = {self.last_ckpt, getattr(self, 'best_ckpt_path', None),
                   *getattr(self, 'best_ckpt_path_dict', {}).values()}
        for path in stale:
            if path not in written:
                remove(path)


@register_backend('whole_file')
class WholeFileBackend(LocalBackend):
    """Local files that are there whole or not at all: written under a temporary name, then renamed."""

    def put(self, obj, filepath):
        temporary = Path(f'{filepath}.tmp')
        try:
            temporary.parent.mkdir(parents=True, exist_ok=True)
            with open(temporary, 'wb') as file:
                file.write(obj)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, filepath)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def put_text(self, obj, filepath, encoding='utf-8'):
        self.put(obj.encode(encoding), filepath)


def _plain(value, name):
    if isinstance(value, dict):
        return {key: _plain(item, f'{name}.{key}') for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [_plain(item, f'{name}[{i}]') for i, item in enumerate(value)]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, HistoryBuffer):
        logs, counts = value.data
        return dict(
            log_history=torch.tensor(logs), count_history=torch.tensor(counts), max_length=value.max_length)
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if value is None or isinstance(value, (bool, int, float, str, bytes, torch.Tensor)):
        return value
    raise TypeError(f'{name} of the checkpoint is a {type(value).__name__}: only numbers, text, tensors and '
                    f'lists, tuples and dicts of them are saved; convert it where it is set')
