"""What the tests compile, kept in build/ until a source changes."""
import fcntl
import hashlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
HERE = Path(__file__).parent
CUDA_SOURCES = ROOT / 'ops/csrc/cuda'


def cached(name: str, sources: Sequence[Path], build: Callable[[Path], None], also: str = '') -> Path:
    """The folder that ``build`` filled for these sources, now or earlier, here or in another test process.

    Args:
        name: What the folder's name begins with.
        sources: Files that the result depends on.
        build: Fills the folder it is given; if it raises, nothing is kept.
        also: What else the result depends on, such as a version.
    """
    digest = hashlib.sha256(also.encode())
    for source in sources:
        digest.update(source.name.encode() + b'\0' + source.read_bytes())
    folder = ROOT / 'build/tests' / f'{name}-{digest.hexdigest()[:16]}'
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / f'{name}.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            for old in folder.parent.glob(f'{name}-*'):
                shutil.rmtree(old)
            folder.mkdir()
            try:
                build(folder)
            except BaseException:
                shutil.rmtree(folder)
                raise
    return folder
