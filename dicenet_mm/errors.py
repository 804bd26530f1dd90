"""Errors whose message is all that a person needs."""


class UserError(Exception):
    """Something given by the user is wrong: the message says what, where, and what to do. The tools print it alone."""


def printable(text: object, limit: int = 80) -> str:
    """Text from a file of unknown origin, for a message: without control characters, shortened to ``limit``."""
    cleaned = ''.join(letter if letter.isprintable() else '�' for letter in str(text)[:limit + 1])
    return cleaned if len(cleaned) <= limit else f'{cleaned[:limit]} ...'


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the memory of a GPU or of the machine is full."""
    text = str(error)
    return isinstance(error, MemoryError) or isinstance(error, RuntimeError) and any(
        part in text for part in ('out of memory', 'allocate memory', 'not enough memory'))


class Stopped(Exception):
    """The process was told to stop, and has saved what there was to save. The tools print the message alone."""

    def __init__(self, message: str, signal_number: int):
        super().__init__(message)
        self.signal_number = signal_number
