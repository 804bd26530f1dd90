"""Where the toolkit's own files lie, and files and folders that a person names: looked for before anything slow is
imported."""
import os
import sys
import tempfile
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from dicenet_mm.errors import UserError

#: How files begin that people give for a checkpoint, and what those are.
MAGIC = {
    b'\xff\xd8\xff': 'a JPEG picture', b'\x89PNG': 'a PNG picture', b'GIF8': 'a GIF picture', b'BM': 'a BMP picture',
    b'RIFF': 'a WebP picture or a film', b'%PDF': 'a PDF', b'\x7fELF': 'a program',
    b'version https://git-lfs': 'a pointer of Git LFS, whose file was not fetched (git lfs pull)'}


def toolkit_folder() -> Path:
    """The folder that has the toolkit's ``configs/``, ``tools/`` and ``model-index.yml``."""
    package = Path(__file__).parent
    installed = package / '.mim'  # in a checkout they lie beside the package
    return installed if installed.is_dir() else package.parent


def config_file(name: str) -> Path:
    """One of the toolkit's own configurations, by its path below ``configs/``."""
    return toolkit_folder() / 'configs' / name


def find_config(name: str | Path) -> Path:
    """A configuration that a person names: a file, or one of the toolkit's own, from whatever folder.

    Args:
        name: A path; ``ssd_dicenet_300_coco``, with or without ``.py``; or a path below ``configs/``.

    Raises:
        UserError: If there is none, naming the nearest.
    """
    file = Path(name).expanduser()
    if file.is_file():
        return file
    root, own = toolkit_folder() / 'configs', own_configs()
    parts = file.parts[file.parts[:1] == ('configs',):]
    below = root.joinpath(*parts).with_suffix('.py') if parts and not file.is_absolute() else file
    if below.is_file() and root.resolve() in below.resolve().parents:
        return below
    if len(parts) == 1 and file.suffix in ('', '.py'):
        if file.stem in own and not file.exists():
            return own[file.stem]
        near = nearest(file.stem, own)
        if near and not file.exists():
            raise UserError(f'there is no configuration {name}: {near}')
    return require_file(name, 'configuration')


@cache
def own_configs() -> dict[str, Path]:
    """The toolkit's own configurations by name; the files that these are made of are left out."""
    root = toolkit_folder() / 'configs'
    files = sorted(root.rglob('*.py'), key=lambda path: -len(path.parts))  # of two, the one nearest to the top
    return {path.stem: path for path in files if '_base_' not in path.parts}


def typed(tool: str) -> str:
    """How a person who uses the commands as the present one calls another of them, such as ``test``."""
    script = Path(sys.argv[0])
    return f'python {script.parent / tool}.py' if script.parent.name == 'tools' else f'dicenet_mm {tool}'


def require_file(path: str | Path, what: str) -> Path:
    """The path of a file that must exist.

    Raises:
        UserError: If it does not, naming the nearest one that does.
    """
    file = Path(path).expanduser()
    if file.is_file():
        return file
    if file.is_dir():
        raise UserError(f'the {what} {path} is a folder: give the file')
    raise UserError(f'there is no {what} {path}: {_hint(file, lambda entry: entry.suffix == file.suffix)}')


def require_folder(path: str | Path, option: str) -> Path:
    """The path of a folder that must exist.

    Raises:
        UserError: If it does not, or is a file, naming the nearest one that does.
    """
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise UserError(f'{path} is a file: {option} takes the folder')
    raise UserError(f'there is no folder {path}: {_hint(folder, Path.is_dir)}')


def require_writable(path: str | Path, option: str) -> Path:
    """The path of a folder that exists or can be made, and written to.

    Raises:
        UserError: If a file is in its way, or nothing can be written there.
    """
    folder = Path(path).expanduser()
    there = next(part for part in (folder, *folder.absolute().parents) if os.path.lexists(part))
    if not there.is_dir():
        raise UserError(f'{option} {path}: {there} is {"a file" if there.is_file() else "no folder"}: name a folder')
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise UserError(f'{option} {path} cannot be written to ({error.strerror}): name another folder') from None
    return folder


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The nearest of some names as a question, or nothing."""
    found = get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f'did you mean {found[0]}?' if found else ''


def _hint(path: Path, fits) -> str:
    parent = path.parent
    try:
        names = [entry.name for entry in parent.iterdir() if fits(entry)]
    except OSError:
        names = []
    found = get_close_matches(path.name, names, n=1)
    return f'did you mean {parent / found[0]}?' if found else 'check the path'


def require_checkpoint(path: str | Path) -> Path:
    """The path of a file that must exist and begin as torch's files do; what is in it is not looked at.

    Raises:
        UserError: If it does not.
    """
    file = require_file(path, 'checkpoint')
    if file.suffix == '.safetensors':
        return file
    with file.open('rb') as content:
        start = content.read(512)
    kind = next((kind for magic, kind in MAGIC.items() if start.startswith(magic)), None)
    if kind is None and start and start.isascii() and b'\0' not in start:
        kind = 'a text'
    if kind or not start:
        raise UserError(f'{path} is {kind or "empty"}, not a checkpoint: those of tools/train.py end in .pth and lie '
                        'in its work directory')
    return file
