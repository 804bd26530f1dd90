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

from dicenet_mm.checkpoint import Network
from dicenet_mm.errors import UserError


@HOOKS.register_module()
class PlainCheckpointHook(CheckpointHook):
    """mmengine's CheckpointHook, with files that torch alone reads and that outlive a kill or a full disk.

    What is saved besides the weights is numbers, text, tensors, and lists, tuples and dicts of them, so that
    `torch.load(path, weights_only=True)` needs nothing of mmengine or NumPy. Resuming puts the log history
    back. A file gets its name only once it is whole, and the ones it replaces are removed after that (a kill
    in between leaves one file more than `max_keep_ckpts`).

    `meta['network']` says, as data, which network the weights are of (`dicenet_mm.checkpoint.Network`). Of earlier
    checkpoints only the names are saved, and only files of the work directory are taken over on resuming.

    Takes the arguments of CheckpointHook, whose place it takes: `default_hooks = dict(checkpoint=dict(
    type='PlainCheckpointHook', interval=1))`. Checkpoints of plain CheckpointHook can be resumed from, too.
    """

    network, earlier = None, {}

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
        if self.save_best:
            self._take_over(runner)
        try:
            self.network = Network.from_config(runner.cfg).plain()
        except UserError as error:
            runner.logger.warning(f'checkpoints will not say which network they are of: {error}. demo.py will need '
                                  '--config with them')
        if isinstance(self.file_backend, LocalBackend):
            self.backend_args = dict(backend='whole_file')

    def before_save_checkpoint(self, runner, checkpoint):
        """Makes all but the weights plain, and says which network they are of.

        Raises:
            TypeError: Something to be saved has no plain form.
        """
        if self.network:
            checkpoint['meta']['network'] = self.network
        for key in checkpoint.keys() & {'meta', 'message_hub', 'optimizer', 'param_schedulers'}:
            checkpoint[key] = _plain(checkpoint[key], key)
        runtime = checkpoint.get('message_hub', {}).get('runtime_info', {})
        for key in runtime:
            if _names_a_file(key):  # without folders: a copied work directory is its own
                runtime[key] = Path(runtime[key]).name

    def after_load_checkpoint(self, runner, checkpoint):
        """Notes the names of the earlier best checkpoints, to replace them once there is a better one."""
        self.earlier = checkpoint.get('saved_files', {}) if runner._resume else {}

    def _take_over(self, runner):
        """Earlier best checkpoints are replaced where they are files of this work directory under a name of this hook;
        what else a file says is the best is left alone."""
        for key, name in self.earlier.items():
            file = Path(self.out_dir, name)
            if not (name.startswith('best_') and name.endswith('.pth') and file.is_file() and not file.is_symlink()):
                continue
            if key == 'best_ckpt':
                self.best_ckpt_path = str(file)
            elif key.startswith('best_ckpt_'):
                self.best_ckpt_path_dict[key[len('best_ckpt_'):]] = str(file)
            else:
                continue
            runner.message_hub.update_info(key, str(file))

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


def _names_a_file(key):
    return key == 'last_ckpt' or key.startswith('best_ckpt')


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
