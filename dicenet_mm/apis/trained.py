"""Models that were trained in the work directories."""
from pathlib import Path

from mmengine.runner import find_latest_checkpoint

from dicenet_mm.errors import UserError
from dicenet_mm.zoo import find_zoo_model, is_zoo_name


def trained_models(root: str | Path = 'work_dirs') -> dict[str, Path]:
    """The checkpoint to use of each work directory, by its name, the newest first: the best one or else the last."""
    found = {}
    for folder in Path(root).glob('*/'):
        checkpoints = sorted(folder.glob('*.pth'), key=lambda file: file.stat().st_mtime)
        best = [file for file in checkpoints if file.name.startswith('best_')]
        trained = [file for file in checkpoints if file.name.startswith(('best_', 'epoch_', 'iter_'))]
        if trained:
            found[folder.name] = (best or trained)[-1]
    return dict(sorted(found.items(), key=lambda item: -item[1].stat().st_mtime))


def latest_checkpoint(work_dir: str | Path) -> Path | None:
    """The checkpoint to resume a work directory from, also where the folder was moved or the pointer was cut off."""
    noted = find_latest_checkpoint(str(work_dir))
    if noted and Path(noted).is_file():
        return Path(noted)
    saved = [*Path(work_dir).glob('epoch_*.pth'), *Path(work_dir).glob('iter_*.pth')]
    return max(saved, key=lambda file: file.stat().st_mtime, default=None)


def find_model(name: str | None, root: str | Path = 'work_dirs') -> Path | str:
    """The checkpoint of a work directory, or of the newest quickstart if no name is given.

    A name of published weights is that of their checkpoint (:func:`dicenet_mm.checkpoint.read_checkpoint`).

    Raises:
        UserError: If there is none; the message lists those there are.
    """
    models = trained_models(root)
    there_are = f'trained models in {root}: {", ".join(models) or "none"}'
    if name:
        if name in models:
            return models[name]
        if is_zoo_name(name):
            return find_zoo_model(name).name
        raise UserError(f'there is no trained model {name}; {there_are}. "python tools/models.py" lists published ones')
    quick = [key for key in models if key.startswith('quickstart')]
    if not quick:
        raise UserError('which model? Give --weights CHECKPOINT or --model NAME, or run "make quickstart" first, which '
                        f'trains a small one ({there_are})')
    return models[quick[0]]
