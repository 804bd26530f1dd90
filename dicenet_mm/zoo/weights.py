"""Published weights on this machine: fetched once, and checked whenever they are used."""
import hashlib
import os
import sys
from pathlib import Path

from filelock import FileLock, Timeout

from dicenet_mm.errors import UserError

from .download import DownloadError, download
from .index import ZooModel


def cache_folder() -> Path:
    """Where fetched weights lie: ``$DICENET_MM_CACHE``, or ``dicenet_mm`` in the user's folder of caches."""
    named = os.environ.get('DICENET_MM_CACHE')
    if named:
        return Path(named).expanduser()
    return Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'dicenet_mm'


def weights_file(model: ZooModel) -> Path:
    """Where the weights lie, or would."""
    return cache_folder() / model.file_name if model.is_remote else Path(__file__).parents[2] / model.weights


def fetch_weights(model: ZooModel) -> Path:
    """The file of published weights: the one of this machine, or else fetched. Processes that ask at once wait.

    Nobody sees a file that is not whole. What a broken download left is continued.

    Raises:
        UserError: If it cannot be fetched, or is not the one that was published. In one sentence, what to do.
    """
    file = weights_file(model)
    if not file.is_file() and model.is_remote:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with _alone(file, model.name):
                if not file.is_file():  # nobody was faster
                    _fetch(model, file)
        except OSError as error:
            raise UserError(f'{file} cannot be written ({error.strerror or error}): let DICENET_MM_CACHE name a folder '
                            'that can') from error
    if not file.is_file():
        raise UserError(f'{file}, the weights of {model.name}, is missing: install dicenet_mm again')
    fault = _fault(file, model)
    if fault:
        raise UserError(f'{file} is not the file of {model.name} ({fault}): remove it' +
                        (f', and it is fetched again from {model.weights}' if model.is_remote else
                         ' and install dicenet_mm again'))
    return file


def _fetch(model: ZooModel, file: Path) -> None:
    part = file.with_name(f'{file.name}.part')
    resumed = part.exists()
    print(f'fetching {model.name} from {model.weights}', file=sys.stderr)
    try:
        download(model.weights, part, file.name, model.size)
        fault = _fault(part, model)
        if fault and resumed:  # its beginning may be of anything
            part.unlink()
            download(model.weights, part, file.name, model.size)
            fault = _fault(part, model)
        if fault:
            part.unlink()
            raise DownloadError(f'the server has another file there: {fault}')
    except DownloadError as error:
        raise UserError(f'{model.name} cannot be fetched ({error}): try again, or get the file {model.weights} in '
                        f'another way and put it at {file}') from error
    os.replace(part, file)


def _alone(file: Path, name: str) -> FileLock:
    """Held by one process at a time."""
    lock = FileLock(f'{file}.lock')
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f'another process is fetching {name}: waiting for it', file=sys.stderr)
        lock.acquire()
    return lock


def _fault(file: Path, model: ZooModel) -> str:
    """What tells a file from the published one, or nothing."""
    content = file.read_bytes()
    if model.size is not None and len(content) != model.size:
        return f'it has {len(content)} bytes, not {model.size}'
    for name, expected, digest in (
            ('SHA-256', model.sha256, hashlib.sha256(content)),
            ('SHA-1 in Git', model.git_sha1, hashlib.sha1(b'blob %d\0' % len(content) + content))):
        if expected and digest.hexdigest() != expected:
            return f'its {name} is {digest.hexdigest()}, not {expected}'
    return ''
