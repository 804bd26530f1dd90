"""Errors whose message is all that a person needs."""
from difflib import get_close_matches
from pathlib import Path


class UserError(Exception):
    """Something given by the user is wrong: the message says what, where, and what to do. The tools print it alone."""


def printable(text: object, limit: int = 80) -> str:
    """Text from a file of unknown origin, for a message: without control characters, shortened to ``limit``."""
    cleaned = ''.join(letter if letter.isprintable() else '�' for letter in str(text)[:limit + 1])
    return cleaned if len(cleaned) <= limit else f'{cleaned[:limit]} ...'


class Stopped(Exception):
    """The process was told to stop, and has saved what there was to save. The tools print the message alone."""

    def __init__(self, message: str, signal_number: int):
        super().__init__(message)
        self.signal_number = signal_number


def require_file(path: str, what: str) -> Path:
    """The path of a file that must exist.

    Raises:
        UserError: If it does not, naming the nearest one that does.
    """
    file = Path(path)
    if file.is_file():
        return file
    if file.is_dir():
        raise UserError(f'the {what} {path} is a folder: give the file')
    folder = file.parent
    names = [entry.name for entry in folder.iterdir() if entry.suffix == file.suffix] if folder.is_dir() else []
    nearest = get_close_matches(file.name, names, n=1)
    hint = f'did you mean {folder / nearest[0]}?' if nearest else 'check the path'
    raise UserError(f'there is no {what} {path}: {hint}')
