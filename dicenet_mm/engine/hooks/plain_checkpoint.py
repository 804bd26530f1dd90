"""Checkpoints of plain data, whose writing never costs an earlier one."""
import fcntl
import os
import secrets
import socket
from pathlib import Path

import numpy as np
import torch
from mmengine.dist import all_gather, is_main_process
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook
from mmengine.logging import HistoryBuffer
from mmengine.registry import HOOKS

from dicenet_mm.checkpoint import Network, fit_training_state
from dicenet_mm.errors import UserError

from .whole_file import WholeFileBackend, remove_leftovers


@HOOKS.register_module()
class PlainCheckpointHook(CheckpointHook):
    """mmengine's CheckpointHook, with files that torch alone reads and that outlive a kill or a full disk.

    What is saved besides the weights is numbers, text, tensors, and lists, tuples and dicts of them, so that
    `torch.load(path, weights_only=True)` needs nothing of mmengine or NumPy. Resuming puts the log history
    back. A file gets its name only once it is whole, and the ones it replaces are removed after that (a kill
    in between leaves one file more than `max_keep_ckpts`).

    `meta['network']` says, as data, which network the weights are of (`dicenet_mm.checkpoint.Network`). Of earlier
    checkpoints only the names are saved, and only files of the work directory are taken over on resuming. The place in
    the epoch and gradients that wait for more steps are saved, too, so that any step can be resumed from exactly.

    `best.pth` links to the best checkpoint, whichever metric it is the best by (of several the first).

    A work directory has one training at a time.

    Takes the arguments of CheckpointHook, whose place it takes: `default_hooks = dict(checkpoint=dict(
    type='PlainCheckpointHook', interval=1))`. Checkpoints of plain CheckpointHook can be resumed from, too.
    """

    network, earlier, gradients = None, {}, None

    def before_run(self, runner):
        """Takes the work directory for this process, and points `last_checkpoint` to the newest where it is empty.

        Raises:
            UserError: If another training has it.
        """
        if not is_main_process():
            return
        self.lock = _lock(Path(runner.work_dir))
        remove_leftovers(Path(runner.work_dir))
        pointer = Path(runner.work_dir, 'last_checkpoint')
        if not pointer.is_file() or pointer.read_text(errors='replace').strip():
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
        if self.gradients is not None:
            _restore_gradients(runner, self.gradients)
            self.gradients = None
        if isinstance(self.file_backend, LocalBackend):
            self.backend_args = dict(backend='whole_file')

    def before_save_checkpoint(self, runner, checkpoint):
        """Makes all but the weights plain, and says which network they are of.

        Raises:
            TypeError: Something to be saved has no plain form.
        """
        meta = checkpoint.setdefault('meta', {})
        if self.network:
            meta['network'] = self.network
        if runner is not None:
            meta.setdefault('batches_done', getattr(runner.train_loop, 'batches_done', 0))
        if self.gradients is not None:
            checkpoint['gradients'] = self.gradients
        if 'param_schedulers' in checkpoint:
            checkpoint['param_schedulers'] = _without_functions(checkpoint['param_schedulers'])
        for key in checkpoint.keys() & {'meta', 'message_hub', 'optimizer', 'param_schedulers'}:
            checkpoint[key] = _plain(checkpoint[key], key)
        runtime = checkpoint.get('message_hub', {}).get('runtime_info', {})
        for key in runtime:
            if key == 'last_ckpt' or key.startswith('best_ckpt'):  # without folders: a copied work directory is its own
                runtime[key] = Path(runtime[key]).name

    def after_load_checkpoint(self, runner, checkpoint):
        """Notes, for resuming, the place in the epoch, waiting gradients, and the names of the earlier best ones.

        Raises:
            UserError: If it is of another training (:func:`dicenet_mm.checkpoint.fit_training_state`).
        """
        if not runner._resume:
            return
        fit_training_state(checkpoint, runner.optim_wrapper, runner.param_schedulers,
                           runner._load_from or runner.work_dir)
        self.earlier = checkpoint.get('saved_files', {})
        meta, loop = checkpoint.get('meta', {}), runner.train_loop
        done = meta.get('batches_done', 0)
        loop.batches_done = min(done, len(loop.dataloader)) if type(done) is int and done > 0 else 0
        loop.validation_due = meta.get('validation_due') is True
        self.gradients = checkpoint.get('gradients')

    def save_stopped(self, runner, step):
        """Saves after a step that is no regular one; the next regular checkpoint takes its place.

        Args:
            runner: The runner.
            step: Steps that are done.

        Returns:
            The path of the file.
        """
        meta = dict(epoch=runner.epoch, iter=step, validation_due=getattr(runner.train_loop, 'validation_due', False))
        return self._save(runner, f'stopped_iter_{step}.pth', meta)

    def _save_checkpoint_with_step(self, runner, step, meta):
        """As CheckpointHook does, except that what is replaced is removed after what replaces it is there."""
        stale = None
        if self.max_keep_ckpts > 0 and not (self.keep_ckpt_ids and self.keep_ckpt_ids[-1] == step):
            if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
                stale = self.filename_tmpl.format(self.keep_ckpt_ids.popleft())
            self.keep_ckpt_ids.append(step)
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        name = self.filename_tmpl.format(step)
        self._save(runner, name, meta, **self.args)
        if is_main_process():
            self._remove(self.file_backend.join_path(self.out_dir, stale) if stale not in (None, name) else None)
            for file in Path(self.out_dir).glob('stopped_iter_*.pth'):
                self._remove(str(file))

    def _save(self, runner, name, meta, **kwargs):
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        self.gradients = _waiting_gradients(runner)
        runner.save_checkpoint(
            self.out_dir, name, self.file_client_args, save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler, meta=meta, by_epoch=self.by_epoch,
            backend_args=self.backend_args, **kwargs)
        self.gradients = None
        if is_main_process():
            WholeFileBackend().put_text(str(self.last_ckpt), Path(runner.work_dir, 'last_checkpoint'))
        return self.last_ckpt

    def _save_best_checkpoint(self, runner, metrics):
        remove, stale = self.file_backend.remove, []
        self.file_backend.remove = stale.append  # CheckpointHook removes before it writes
        try:
            super()._save_best_checkpoint(runner, metrics)
        finally:
            self.file_backend.remove = remove
        written = {self.last_ckpt, getattr(self, 'best_ckpt_path', None),
                   *getattr(self, 'best_ckpt_path_dict', {}).values()}
        for path in stale:
            if path not in written:
                self._remove(path)
        bests = getattr(self, 'best_ckpt_path_dict', {})
        best = getattr(self, 'best_ckpt_path', None) or next(iter(bests.values()), None)
        if best and is_main_process() and isinstance(self.file_backend, LocalBackend):
            _link(Path(self.out_dir, 'best.pth'), Path(best).name)

    def _remove(self, path):
        if path and self.file_backend.isfile(path):
            self.file_backend.remove(path)

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


def _link(link, name):
    """Let a relative link name another file; where there can be no links, nothing is done."""
    temporary = link.with_name(f'{link.name}.{secrets.token_hex(4)}.tmp')
    try:
        temporary.symlink_to(name)
        temporary.replace(link)
    except OSError:
        temporary.unlink(missing_ok=True)


def _lock(work_dir):
    """Hold a work directory for as long as this process lives."""
    work_dir.mkdir(parents=True, exist_ok=True)
    file = os.fdopen(os.open(work_dir / '.training', os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666), 'r+')
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # which, other than flock's, forked workers do not hold
    except (BlockingIOError, PermissionError):
        held = file.read(200).strip()
        raise UserError(f'{work_dir} is in use by another training ({held or "just started"}): give another '
                        '--work-dir, or wait until it has ended') from None
    except OSError:  # a file system without locks
        return file
    file.truncate(0)
    file.write(f'process {os.getpid()} on {socket.gethostname()}\n')
    file.flush()
    return file


def _model(runner):
    return getattr(runner.model, 'module', runner.model)


def _waiting_gradients(runner):
    """The gradients of steps whose update is still to come, one tensor for each process; None after an update."""
    wrapper = runner.optim_wrapper
    if getattr(wrapper, '_accumulative_counts', 1) == 1 or wrapper.should_update():
        return None
    return {name: [part.cpu() for part in all_gather(parameter.grad)]
            for name, parameter in _model(runner).named_parameters() if parameter.grad is not None}


def _restore_gradients(runner, gradients):
    rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
    for name, parameter in _model(runner).named_parameters():
        parts = gradients.get(name, ())
        if rank < len(parts) and parts[rank].shape == parameter.shape:
            parameter.grad = parts[rank].to(parameter)


def _without_functions(states):
    """The states of schedules without the functions that some hold, which a resumed training has of its own."""
    if isinstance(states, dict):  # of several optimizers
        return {name: _without_functions(part) for name, part in states.items()}
    return [{key: value for key, value in state.items() if not callable(value)} for state in states]


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
