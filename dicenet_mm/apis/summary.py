"""What a training says before its first step and after its last one."""
import os
import shlex
from pathlib import Path

import torch
from mmengine.dist import master_only
from mmengine.runner import Runner

from .check_data import Split
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


@master_only
def print_outcome(runner: Runner, config: str, data: str | None) -> None:
    """Name the checkpoint to use, and the commands that measure and try it."""
    best = runner.message_hub.runtime_info.get('best_ckpt')
    score = runner.message_hub.runtime_info.get('best_score')
    if best and Path(best).is_file():
        print(f'\nbest checkpoint: {_short(best)} ({score:.4g})')
        link = Path(best).with_name('best.pth')
        best = link if link.is_file() else best
    else:
        saved = saved_checkpoints(runner.work_dir)
        if not saved:
            return
        best = saved[-1]
        print(f'\nlast checkpoint: {_short(best)}')
    own = f' --data {shlex.quote(data)}' if data else ''
    print(f'measure it:  python tools/test.py {shlex.quote(str(config))} {_short(best)}{own}',
          f'try it:      python tools/demo.py PICTURE --weights {_short(best)}', sep='\n')
    curves = Path(runner.work_dir, 'curves.png')
    if curves.is_file():
        print(f'see it:      {_short(curves)}')


def _bare(model: torch.nn.Module) -> torch.nn.Module:
    return getattr(model, 'module', model)


def _short(path: str | Path) -> str:
    """A path as one would type it here."""
    shown = os.path.relpath(path)
    return shlex.quote(str(path) if shown.startswith('..') else shown)
