"""Reading a configuration and changing it the way the tools' options ask for."""
from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.config import Config

from dicenet_mm.errors import UserError, require_file


def load_config(path: str, options: dict | None = None, work_dir: str | None = None) -> Config:
    """Read a configuration.

    Args:
        path: The file.
        options: Values to replace, by dotted key.
        work_dir: Where logs and checkpoints go; ``work_dirs/<name of the file>`` by default.

    Raises:
        UserError: If there is no such file, or it cannot be read as a configuration.
    """
    file = require_file(path, 'configuration')
    try:
        cfg = Config.fromfile(file)
    except Exception as error:
        raise UserError(f'the configuration {path} cannot be read: {type(error).__name__}: {error}') from error
    if options:
        cfg.merge_from_dict(options)
    cfg.work_dir = work_dir or cfg.get('work_dir') or str(Path('work_dirs', file.stem))
    return cfg


def set_launcher(cfg: Config, launcher: str) -> None:
    """Say how several processes were started; without a GPU they talk through gloo."""
    cfg.launcher = launcher
    if not torch.cuda.is_available() and cfg.get('env_cfg', {}).get('dist_cfg', {}).get('backend') == 'nccl':
        cfg.env_cfg.dist_cfg.backend = 'gloo'


def select_metrics(cfg: Config, names: Sequence[str]) -> None:
    """Test with the named ones of the configuration's ``evaluators``.

    Raises:
        UserError: If there is no such name; the message lists those there are.
    """
    evaluators = cfg.get('evaluators', {})
    for name in names:
        if name not in evaluators:
            valid = ', '.join(evaluators) or 'none: leave --eval out to run its own test_evaluator'
            raise UserError(f'{name} is not a metric of this configuration; it has {valid}')
    chosen = []
    for name in names:
        if evaluators[name] not in chosen:  # two names can mean one metric
            chosen.append(evaluators[name])
    cfg.test_evaluator = chosen
