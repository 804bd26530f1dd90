"""Reading a configuration and changing it the way the tools' options ask for."""
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config

from dicenet_mm.errors import UserError
from dicenet_mm.paths import find_config

from .options import check_arguments, check_values, hand_down, merge_options, parse_options


def load_config(path: str, options: dict | Sequence[str] | None = None, work_dir: str | None = None,
                imports: bool = True) -> Config:
    """Read a configuration.

    Args:
        path: The file, or the name of one of the toolkit's own (:func:`dicenet_mm.paths.find_config`).
        options: Values to replace, by dotted key, or as a person types them, ``KEY=VALUE``.
        work_dir: Where logs and checkpoints go; ``work_dirs/<name of the file>`` by default.
        imports: Whether what the configuration imports is imported, which takes seconds; the arguments of classes that
            ``options`` names are checked then, too.

    Raises:
        UserError: If there is no such file, it cannot be read as a configuration, or an option or value cannot be
            meant.
    """
    file = find_config(path)
    try:
        cfg = Config.fromfile(file, import_custom_modules=imports)
    except Exception as error:
        raise UserError(f'the configuration {path} cannot be read: {type(error).__name__}: {error}') from error
    replaced = hand_down(cfg, options if isinstance(options, dict) else parse_options(options or ()))
    merge_options(cfg, replaced)
    check_values(cfg)
    if imports:
        from mmengine.registry import DefaultScope
        with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmengine'):
            check_arguments(cfg, replaced)
    cfg.work_dir = work_dir or cfg.get('work_dir') or str(Path('work_dirs', file.stem))
    return cfg


def set_launcher(cfg: Config, launcher: str) -> None:
    """Say how several processes were started; without a GPU they talk through gloo.

    Raises:
        UserError: If a launcher that counts on GPUs finds none.
    """
    import torch  # here, since it takes seconds
    if launcher in ('slurm', 'mpi') and not torch.cuda.is_available():
        raise UserError(f'--launcher {launcher} gives each process a GPU, and there is none: start the processes with '
                        'torchrun, as tools/dist_train.sh and tools/slurm_train.sh do')
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
