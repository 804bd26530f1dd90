"""What a run of :func:`dicenet_mm.apis.annotate` leaves in a folder."""
import json
import shutil
from pathlib import Path

from dicenet_mm.errors import UserError

RESULTS = 'predictions.json'


def require_new_results(out_dir: str | Path) -> None:
    """Refuse to write over what an earlier run has left.

    Raises:
        UserError: If a folder holds its results.
    """
    if Path(out_dir, RESULTS).exists():
        raise UserError(f'{out_dir} holds the results of another run: give another --out-dir, or --overwrite to delete '
                        'them')


def clear_results(out_dir: Path) -> None:
    """Delete what an earlier run wrote into a folder, by its ``predictions.json``; nothing else."""
    file = out_dir / RESULTS
    try:
        entries = json.loads(file.read_text())
        outputs = {entry['output'] for entry in entries if Path(entry['output']).name == entry['output']}
    except (OSError, ValueError, TypeError, KeyError):
        outputs = set()
    for name in outputs:
        (out_dir / name).unlink(missing_ok=True)
        (out_dir / name).with_suffix('.png').unlink(missing_ok=True)
        shutil.rmtree(out_dir / f'{Path(name).stem}_masks', ignore_errors=True)
    file.unlink(missing_ok=True)


class Results:
    """A JSON file, a list, that has each entry from the moment it is appended.

    Args:
        path: The file.
    """

    def __init__(self, path: Path):
        self.path, self.begun = path, False

    def append(self, entry: dict) -> None:
        text = json.dumps(entry, ensure_ascii=False, indent=1)
        with open(self.path, 'r+b' if self.begun else 'wb') as file:
            if self.begun:
                file.seek(-2, 2)  # before the end of the list
            file.write(f'{"," if self.begun else "["}\n{text}\n]'.encode())
        self.begun = True
