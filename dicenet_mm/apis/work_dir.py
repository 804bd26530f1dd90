"""What an earlier training left in a work directory."""
from collections.abc import Iterable
from pathlib import Path

from dicenet_mm.errors import UserError

#: What a training writes, besides the folders of its logs.
CHECKPOINTS = ('best_*.pth', 'epoch_*.pth', 'iter_*.pth', 'stopped_iter_*.pth')
OTHERS = ('best.pth', 'last_checkpoint', 'curves.png', 'metrics.csv', 'metrics.json')


def saved_checkpoints(work_dir: str | Path) -> list[Path]:
    """The checkpoints of a work directory, the newest last."""
    found = [file for pattern in CHECKPOINTS for file in Path(work_dir).glob(pattern)]
    return sorted(found, key=lambda file: file.stat().st_mtime)


def require_new_training(work_dir: str | Path) -> None:
    """Refuse to write over an earlier training.

    Raises:
        UserError: If the work directory holds checkpoints.
    """
    saved = saved_checkpoints(work_dir)
    if saved:
        raise UserError(f'{work_dir} holds a training already, whose newest checkpoint is {saved[-1].name}: '
                        'give --resume to continue it, --overwrite to delete it and start anew, or another --work-dir')


def clear_training(work_dir: str | Path, keep: Iterable[str | Path] = ()) -> None:
    """Delete the checkpoints, curves and metrics of an earlier training, but for some files; logs stay."""
    kept = {Path(file).resolve() for file in keep}
    for file in [*saved_checkpoints(work_dir), *(Path(work_dir, name) for name in OTHERS)]:
        if file.resolve() not in kept:
            file.unlink(missing_ok=True)


def finished(cfg, meta: dict) -> str | None:
    """How much a checkpoint has been trained, in words, if that is all that a configuration asks for; else None."""
    for key, counted, word in (('max_epochs', 'epoch', 'epochs'), ('max_iters', 'iter', 'steps')):
        length, done = cfg.train_cfg.get(key), meta.get(counted)
        if length and isinstance(done, int) and done >= length:
            return f'{done} of {length} {word}'
    return None
