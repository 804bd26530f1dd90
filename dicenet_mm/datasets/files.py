"""Files of a stranger, read as data: sizes, encodings and places are checked before their content is."""
import codecs
import contextlib
import gc
import json
import os
import re
import unicodedata
import xml.etree.ElementTree as ET
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from dicenet_mm.errors import UserError

MAX_JSON = 4 * 2**30  # bytes; COCO's largest file has 0.5 GB
MAX_TEXT = 256 * 2**20
MAX_XML = 16 * 2**20
# UTF-32 first: its mark starts with that of UTF-16.
MARKS = {codecs.BOM_UTF32_LE: 'utf-32', codecs.BOM_UTF32_BE: 'utf-32', codecs.BOM_UTF8: 'utf-8-sig',
         codecs.BOM_UTF16_LE: 'utf-16', codecs.BOM_UTF16_BE: 'utf-16'}
# What systems and tools leave beside the data, besides names that start with a dot.
LITTER = {'__macosx', '@eadir', 'thumbs.db', 'desktop.ini', '$recycle.bin', 'system volume information', 'lost+found',
          '__pycache__'}


def head(names: Iterable, count: int = 5) -> str:
    """The first few of many names, and how many more there are."""
    names = [str(name) for name in names]
    return ', '.join(names[:count]) + (f' and {len(names) - count} more' if len(names) > count else '')


def class_name(value) -> str:
    """A class name without what cannot be seen: blanks around it, control characters, other ways to write a letter.

    It is empty where there is none.
    """
    if not isinstance(value, (str, int, float)):
        return ''
    text = ''.join(letter for letter in unicodedata.normalize('NFC', str(value)) if letter.isprintable() or
                   letter.isspace())
    return ' '.join(text.split())


def is_litter(name: str) -> bool:
    """Whether a file or folder of this name was left by a system or tool and is no data."""
    return name.startswith(('.', '~$')) or name.lower() in LITTER


def walk(folder: str | Path, suffixes: Sequence[str]) -> Iterator[str]:
    """Paths, relative to a folder and sorted, of the files in it and the folders in it, by their suffixes in any case.

    Links to folders are followed, once each; litter is left out.

    Raises:
        OSError: If a folder cannot be opened.
    """
    def stop(error: OSError):
        raise error
    seen = set()
    for place, folders, files in os.walk(folder, onerror=stop, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not is_litter(name))
        for name in sorted(files):
            if name.lower().endswith(tuple(suffixes)) and not is_litter(name):
                yield os.path.relpath(os.path.join(place, name), folder)


class Stems:
    """The files of a folder and of the folders in it, found by their names without suffix.

    Args:
        folder: It need not exist.
        suffixes: Of the files that count, lower case; of two files of a name, that of the first suffix is taken.
    """

    def __init__(self, folder: str | Path, suffixes: Sequence[str]):
        self.paths, self.by_name = {}, {}
        rank = {suffix: place for place, suffix in enumerate(suffixes)}
        found = walk(folder, suffixes) if os.path.isdir(folder) else ()
        for path in sorted(found, key=lambda path: rank.get(Path(path).suffix.lower(), len(rank))):
            stem = path[:-len(Path(path).suffix)].replace(os.sep, '/')
            self.paths.setdefault(stem, path)
        for stem, path in self.paths.items():
            self.by_name.setdefault(stem.rpartition('/')[2], []).append(path)

    def find(self, stem: str) -> str | None:
        """The path, relative to the folder, of a name such as ``'a'`` or ``'sub/a'``.

        A file in another folder is taken for it where it is the only one of its name.
        """
        if stem in self.paths:
            return self.paths[stem]
        others = self.by_name.get(stem.rpartition('/')[2], ())
        return others[0] if len(others) == 1 else None


def read_bytes(path: str | Path, limit: int = MAX_TEXT) -> bytes:
    """The content of a file.

    Raises:
        UserError: If it cannot be read, or has more than ``limit`` bytes.
    """
    try:
        size = os.path.getsize(path)
        if size > limit:
            raise UserError(f'{path} has {size / 2**20:.0f} MB, and at most {limit / 2**20:.0f} MB are read of a file '
                            'of its kind: is it the right file?')
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise UserError(f'there is no annotation file {path}') from None
    except OSError as error:
        raise UserError(f'{path} cannot be read ({error.strerror}): mend its permissions, or take it away') from None


def read_text(path: str | Path, limit: int = MAX_TEXT) -> str:
    """A text in UTF-8, or in what its byte order mark says.

    Raises:
        UserError: If it cannot be read, is too large, or is none.
    """
    return _decode(path, read_bytes(path, limit))


def read_lines(path: str | Path) -> list[str]:
    """The lines of a text, without blanks around them and without the empty ones."""
    return [line.strip() for line in read_text(path).splitlines() if line.strip()]


@contextlib.contextmanager
def without_collection() -> Iterator[None]:
    """Meanwhile Python does not look for cycles, which takes a third of the time where millions of objects are made."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


def read_json(path: str | Path, left_out: Collection[str] = ()):
    """The content of a JSON file in any of its encodings.

    Args:
        path: The file.
        left_out: Names whose values are forgotten as they are read, wherever they stand.

    Raises:
        UserError: If it cannot be read, is too large, or is none.
    """
    def forget(entry: dict) -> dict:
        for name in left_out:
            entry.pop(name, None)
        return entry

    content = read_bytes(path, MAX_JSON)
    try:
        with without_collection():
            return json.loads(content, object_hook=forget if left_out else None)
    except (ValueError, RecursionError) as error:
        reason = 'it is nested too deeply' if isinstance(error, RecursionError) else error
        raise UserError(f'{path} cannot be read as JSON ({reason}): it may be cut off or of another kind') from None


def read_xml(path: str | Path) -> ET.Element:
    """The root of an XML file, in any encoding that it declares; entities and document types are refused.

    Raises:
        UserError: If it cannot be read, is too large, or is none.
    """
    content = read_bytes(path, MAX_XML)
    declared = re.match(rb'\s*<\?xml[^>]*encoding=["\']([\w.-]+)', content[:300])
    text = _decode(path, content, declared and declared[1].decode()).lstrip()
    text = re.sub(r'^<\?xml.*?\?>', '', text, count=1, flags=re.DOTALL)
    if '<!DOCTYPE' in text or '<!ENTITY' in text:
        raise UserError(f'{path} defines a document type or entities, which annotations have no use for: remove the '
                        'lines with <!DOCTYPE and <!ENTITY')
    try:
        return ET.fromstring(text)
    except (ET.ParseError, ValueError) as error:
        raise UserError(f'{path} cannot be read as XML ({error}): mend it, or take it out of its list') from None


def _decode(path: str | Path, content: bytes, declared: str | None = None) -> str:
    marked = next((encoding for mark, encoding in MARKS.items() if content.startswith(mark)), None)
    # Some writers declare UTF-16 and write UTF-8.
    for encoding in [marked] if marked else [declared or 'utf-8', 'utf-8']:
        try:
            text = content.decode(encoding)
        except (UnicodeDecodeError, LookupError) as error:
            reason = error
        else:
            if '\0' not in text and (not declared or text.lstrip().startswith('<')):
                return text
            reason = 'it has bytes of another kind'
    raise UserError(f'{path} is not text in {marked or declared or "UTF-8"} ({reason}): save it as UTF-8')
