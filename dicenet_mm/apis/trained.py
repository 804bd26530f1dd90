"""Models that were trained in the work directories."""
import warnings
from pathlib import Path

from dicenet_mm.errors import UserError
from dicenet_mm.paths import require_checkpoint, typed
from dicenet_mm.zoo.index import BUILT_IN, find_zoo_model, is_zoo_name


def trained_models(root: str | Path = 'work_dirs') -> dict[str, Path]:
    """The checkpoint to use of each work directory, by its name, the newest first: the best one or else the last."""
    found = {}
    for folder in Path(root).glob('*/'):
        checkpoints = sorted(filter(Path.is_file, folder.glob('*.pth')), key=lambda file: file.stat().st_mtime)
        best = [file for file in checkpoints if file.name.startswith('best_')]
        trained = [file for file in checkpoints if file.name.startswith(('best_', 'epoch_', 'iter_', 'stopped_'))]
        if trained:
            found[folder.name] = (best or trained)[-1]
    return dict(sorted(found.items(), key=lambda item: -item[1].stat().st_mtime))


def named_checkpoint(source: str) -> str:
    """The checkpoint that is meant: a file, an address, published weights, or of a work directory the best one or last.

    A work directory may be given by its name in ``work_dirs``.

    Raises:
        UserError: If there is no such file, it cannot be a checkpoint, or a folder has none.
    """
    if '://' in source:
        return source
    if is_zoo_name(source):
        return find_zoo_model(source).name
    folder = Path(source)
    if not folder.exists() and folder.name == source and source in trained_models():
        return str(trained_models()[source])
    if not folder.is_dir():
        return str(require_checkpoint(source))
    found = trained_models(folder.absolute().parent).get(folder.absolute().name)
    if not found:
        raise UserError(f'{source} is a folder without a checkpoint of a training: give its work directory, or a file')
    return str(found)


def latest_checkpoint(work_dir: str | Path) -> Path | None:
    """The newest whole checkpoint of a work directory, to resume from; what is cut off is passed by, with a warning.

    It is this directory's own, also where the directory was copied or moved.

    Raises:
        UserError: If there are checkpoints, and none of them is whole.
    """
    from dicenet_mm.checkpoint import read_checkpoint  # here, since torch takes seconds to import
    work_dir = Path(work_dir)
    saved = [file for pattern in ('epoch_*.pth', 'iter_*.pth', 'stopped_iter_*.pth') for file in work_dir.glob(pattern)]
    saved = sorted((file for file in saved if file.is_file()), key=lambda file: file.stat().st_mtime, reverse=True)
    noted = _noted(work_dir)
    if noted:
        saved = [noted, *(file for file in saved if file != noted)]
    reasons = []
    for file in saved:
        try:
            read_checkpoint(file)
        except UserError as error:
            reasons.append(str(error))
            continue
        for reason in reasons:
            warnings.warn(f'{reason}. Training goes on from the checkpoint before it, {file}', stacklevel=2)
        return file
    if reasons:
        raise UserError(f'no checkpoint of {work_dir} is whole: {reasons[0]}. Train without --resume, or with another '
                        '--work-dir')
    return None


def _noted(work_dir: Path) -> Path | None:
    """The file that ``last_checkpoint`` names: the one of that name here, if there is one."""
    pointer = work_dir / 'last_checkpoint'
    name = pointer.read_text(errors='replace').strip() if pointer.is_file() else ''
    for file in (work_dir / Path(name).name, Path(name)):
        if name and file.is_file():
            return file
    return None


def find_model(name: str | None, root: str | Path = 'work_dirs') -> Path | str:
    """The checkpoint of a work directory, or the name of published weights; the built-in detector if no name is given.

    A name of published weights is that of their checkpoint (:func:`dicenet_mm.checkpoint.read_checkpoint`).

    Raises:
        UserError: If there is none; the message lists those there are.
    """
    if not name:
        return BUILT_IN
    models = trained_models(root)
    if name in models:
        return models[name]
    if is_zoo_name(name):
        return find_zoo_model(name).name
    raise UserError(f'there is no trained model {name}; trained models in {root}: {", ".join(models) or "none"}. '
                    f'"{typed("models")}" lists published ones')
