"""Names of classes in letters that a font has."""
import warnings
from collections.abc import Sequence
from functools import lru_cache

from matplotlib.font_manager import findfont, fontManager, get_font

NO_LETTERS = ('Last Resort High-Efficiency', 'Last Resort')  # which have a sign for every script in place of letters
ALWAYS = 'class 0.123456789'  # what stands beside a name


def legible(names: Sequence[str]) -> tuple[str, list[str]]:
    """A font, and the names as it can write them.

    It is DejaVu Sans, or where that lacks letters of a name, the installed font that has those of the most names. What
    that lacks is written as ``class <number>``, with a warning, not as squares.

    Args:
        names: Of the classes, by number.

    Returns:
        The path of the font file, and a text for each name.
    """
    return _legible(tuple(map(str, names)))


@lru_cache(maxsize=16)
def _legible(names: tuple[str, ...]) -> tuple[str, list[str]]:
    first = findfont('DejaVu Sans')
    best, there = first, _written(first, names)
    if not all(there):
        for path in sorted({font.fname for font in fontManager.ttflist if font.name not in NO_LETTERS} - {first}):
            other = _written(path, names)
            if sum(other) > sum(there):
                best, there = path, other
    lacking = [name for name, written in zip(names, there) if not written]
    if lacking:
        warnings.warn(f'no installed font has the letters of {", ".join(lacking[:3])}: {len(lacking)} names are drawn '
                      'as numbers of their classes. Install a font of the script, such as Noto Sans', stacklevel=3)
    return best, [name if written else f'class {number}' for number, (name, written) in enumerate(zip(names, there))]


def _written(path: str, names: Sequence[str]) -> list[bool]:
    """Which names a font can write."""
    try:
        letters = get_font(path).get_charmap()
    except (OSError, RuntimeError):  # a font that FreeType cannot read
        return [False] * len(names)
    return [all(ord(letter) in letters for letter in name + ALWAYS if not letter.isspace()) for name in names]
