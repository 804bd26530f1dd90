"""mmengine's ways to checkpoints, led through the one reader."""
from collections import OrderedDict
from pathlib import Path

import torch
from mmengine.logging import HistoryBuffer, print_log

from dicenet_mm.errors import UserError, printable

from .reader import read_checkpoint


def load_checkpoint(filename: str, map_location: object = None, logger: object = None, **_: object) -> dict:
    """What mmengine's ``CheckpointLoader.load_checkpoint`` returns, from any file or address.

    Always onto the CPU, whatever ``map_location`` says: weights, optimizer states and averages are copied to where the
    model is. Log histories are mmengine's buffers again. What mmengine would run or remove is left out: the text of a
    configuration, which its runner executes on resuming, and the paths of earlier checkpoints, whose files it removes.
    The names of these files, without folders, are kept as ``checkpoint['saved_files']``.

    Raises:
        UserError: As :func:`read_checkpoint`.
    """
    print_log(f'Loads checkpoint from {filename}', logger=logger)
    checkpoint = read_checkpoint(str(Path(filename).expanduser()) if '://' not in str(filename) else filename)
    if str(filename).startswith('mmcls://'):  # classifiers, whose backbones are asked for
        weights = checkpoint.get('state_dict', checkpoint)
        return dict(state_dict=OrderedDict((name[len('backbone.'):], value) for name, value in weights.items()
                                           if name.startswith('backbone.')))
    checkpoint.get('meta', {}).pop('config', None)
    hub = checkpoint.get('message_hub', {})
    scalars = hub.get('log_scalars', {})
    for name, history in scalars.items():
        if isinstance(history, dict):
            scalars[name] = _history(history, name, filename)
    runtime = hub.get('runtime_info', {})
    paths = [key for key in runtime if key == 'last_ckpt' or key.startswith('best_ckpt')]
    if paths:
        checkpoint['saved_files'] = {key: Path(str(runtime.pop(key))).name for key in paths}
    if not _are_steps(runtime.get('keep_ckpt_ids', [])):  # which become names of files to remove
        del runtime['keep_ckpt_ids']
    for key, most in dict(epoch=2 ** 48, iter=2 ** 48, seed=2 ** 32 - 1).items():
        value = checkpoint.get('meta', {}).get(key)
        if value is not None and not (type(value) is int and 0 <= value <= most):
            raise UserError(f'{filename} says that its {key} is {printable(repr(value))}, which is no number of one')
    return checkpoint


def _are_steps(value: object) -> bool:
    return isinstance(value, list) and all(type(step) is int and step >= 0 for step in value)


def _history(numbers: dict, name: str, filename: str) -> HistoryBuffer:
    logs, counts, length = (numbers.get(key) for key in ('log_history', 'count_history', 'max_length'))
    if not (all(isinstance(part, torch.Tensor) and part.ndim == 1 for part in (logs, counts))
            and len(logs) == len(counts) and isinstance(length, int) and length > 0):
        raise UserError(f'{filename} holds no log history as {printable(name)}')
    return HistoryBuffer(logs.numpy(), counts.numpy(), length)
