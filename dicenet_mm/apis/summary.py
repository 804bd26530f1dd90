"""What a training says before its first step and after its last one."""
import os
import shlex
from pathlib import Path

import torch
from mmengine.dist import master_only
from mmengine.runner import Runner

from dicenet_mm.paths import typed

from .check_data import Split
from .train import Trained
from .work_dir import saved_checkpoints


@master_only
def print_start(runner: Runner, contents: dict[str, Split]) -> None:
    """Say in a few lines what is trained, how long, on what, and where the rest is written."""
    cfg = runner.cfg
    optimizer, loader = cfg.optim_wrapper.optimizer, cfg.train_dataloader
    length = (f'{cfg.train_cfg.max_epochs} epochs' if 'max_epochs' in cfg.train_cfg else
              f'{cfg.train_cfg.max_iters} steps')
    batch = ' x '.join(str(part) for part in (loader.batch_size, runner.world_size,
                                              cfg.optim_wrapper.get('accumulative_counts', 1)) if part > 1) or '1'
    images = ' + '.join(f'{split.images} images ({name})' for name, split in contents.items() if split.images)
    weights = sum(part.numel() for part in runner.model.parameters())
    if torch.cuda.is_available():
        device = torch.cuda.get_device_name()
    else:
        threads = torch.get_num_threads()
        spins = os.environ.get('GOMP_SPINCOUNT')
        device = f'CPU, {threads} thread{"s" * (threads > 1)}' + (
            f' that soon sleep while they wait (GOMP_SPINCOUNT={spins})' if spins and threads > 1 else '')
    print(f'{Path(cfg.filename or "training").stem}: {type(_bare(runner.model)).__name__}, {weights / 1e6:.2f} M '
          f'parameters{", on " * bool(images)}{images}',
          f'{length} in batches of {batch}, {optimizer.type} at a rate of {optimizer.lr:g}, on {device}',
          f'log, with environment, configuration and hooks: {runner.log_file}', sep='\n', flush=True)


def outcome(runner: Runner) -> Trained:
    """What a training has left."""
    best, work_dir = runner.message_hub.runtime_info.get('best_ckpt'), Path(runner.work_dir)
    if best and Path(best).is_file():
        return Trained(work_dir, Path(best), float(runner.message_hub.runtime_info['best_score']))
    return Trained(work_dir, next(reversed(saved_checkpoints(work_dir)), None))


@master_only
def print_outcome(found: Trained, config: str, data: str | None) -> None:
    """Name the checkpoint to use, and the commands that measure and try it."""
    if found.checkpoint is None:
        return
    file = _short(found.checkpoint)
    print(f'\nlast checkpoint: {file}' if found.score is None else f'\nbest checkpoint: {file} ({found.score:.4g})')
    link = found.checkpoint.with_name('best.pth')
    file = _short(link) if found.score is not None and link.is_file() else file
    own = f' --data {shlex.quote(data)}' if data else ''
    print(f'measure it:  {typed("test")} {shlex.quote(str(config))} {file}{own}',
          f'try it:      {typed("demo")} PICTURE --weights {file}', sep='\n')
    curves = found.work_dir / 'curves.png'
    if curves.is_file():
        print(f'see it:      {_short(curves)}')


def _bare(model: torch.nn.Module) -> torch.nn.Module:
    return getattr(model, 'module', model)


def _short(path: str | Path) -> str:
    """A path as one would type it here."""
    shown = os.path.relpath(path)
    return shlex.quote(str(path) if shown.startswith('..') else shown)
