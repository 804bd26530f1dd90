"""Files that are there whole or not at all."""
import os
import secrets
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend


@register_backend('whole_file')
class WholeFileBackend(LocalBackend):
    """Local files that are written under a name of their own, then renamed; links are replaced, not followed."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write a file; on return it would outlive a loss of power.

        Raises:
            OSError: If it cannot be written; what was there before is as it was.
        """
        target = Path(filepath)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f'{target.name}.{secrets.token_hex(4)}.tmp')
        try:
            # a name of its own, that is neither there nor a link: two writers do not meet
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
            with os.fdopen(descriptor, 'wb') as file:
                file.write(obj)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(target.parent)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Write a file of text, as :meth:`put`."""
        self.put(obj.encode(encoding), filepath)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder outlive a loss of power, where its file system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:  # not every file system has folders that can be synchronised
        pass
    finally:
        os.close(descriptor)


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed process has half written there."""
    for file in folder.glob('*.????????.tmp'):
        if file.is_symlink() or file.is_file():
            file.unlink(missing_ok=True)
