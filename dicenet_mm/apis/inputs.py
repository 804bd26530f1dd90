"""Images and videos from what a person types: files, folders, patterns, cameras, addresses and standard input."""
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from glob import glob
from pathlib import Path
from urllib.parse import urlsplit

from dicenet_mm.datasets.files import is_litter
from dicenet_mm.errors import UserError
from dicenet_mm.formats import IMAGE_SUFFIXES, VIDEO_SUFFIXES

IMAGES, VIDEOS = set(IMAGE_SUFFIXES), set(VIDEO_SUFFIXES)
SCHEMES = ('http', 'https', 'rtsp', 'rtsps', 'rtmp', 'udp', 'tcp')
STDIN = '-'  # paths and addresses, one a line


def expand_inputs(inputs: Sequence[str]) -> list[Path]:
    """The image and video files meant by a list of files, folders (all that is in them) and patterns, in order.

    Raises:
        UserError: If one of them leads to no image or video.
    """
    return list(dict.fromkeys(file for name in inputs for file in _files(name)))


def find_inputs(inputs: Iterable) -> list:
    """:func:`expand_inputs` for what may be no file, too: numbers of cameras, addresses, :data:`STDIN`, arrays.

    These stay as they are, and what is named twice comes twice.

    Raises:
        UserError: As :func:`expand_inputs`, or if an address is of a kind that cannot be read.
    """
    found = []
    for entry in inputs:
        if is_address(entry):
            scheme = urlsplit(entry).scheme.lower()
            if scheme not in SCHEMES:
                raise UserError(f'{shown(entry)} cannot be read: addresses start with {", ".join(SCHEMES)}')
            found.append(entry)
        elif is_camera(entry) or not isinstance(entry, (str, Path)) or entry == STDIN:
            found.append(entry)
        else:
            found += _files(entry)
    return found


def is_address(entry) -> bool:
    """Whether an input is an address such as ``rtsp://camera/stream`` or ``https://host/photo.jpg``."""
    return isinstance(entry, str) and re.match(r'[a-z][a-z0-9+.-]*://', entry, re.IGNORECASE) is not None


def is_camera(entry) -> bool:
    """Whether an input is the number of a camera, 0 or more, and no file of that name."""
    if isinstance(entry, str):
        return entry.isdecimal() and not Path(entry).exists()
    return isinstance(entry, int) and not isinstance(entry, bool)


def is_moving(entry) -> bool:
    """Whether an input is a camera, a stream or a film, and not a single picture."""
    if is_address(entry):
        return Path(urlsplit(entry).path).suffix.lower() not in IMAGES
    return is_camera(entry) or isinstance(entry, (str, Path)) and Path(entry).suffix.lower() in VIDEOS


def shown(entry) -> str:
    """An input as text for people and files: of an address, without name and password of a user."""
    if is_address(entry):
        return re.sub(r'(?<=://)[^/@]*@', '', entry)
    return f'camera {entry}' if is_camera(entry) else str(entry)


def stem(entry) -> str:
    """What the results of an input are called."""
    if is_address(entry):
        parts = urlsplit(shown(entry))
        return re.sub(r'[^\w.-]+', '_', Path(parts.path).stem or parts.hostname or 'stream')[:80]
    return f'camera_{entry}' if is_camera(entry) else Path(entry).stem


def read_stdin() -> Iterator[str]:
    """What stands in the lines of standard input, as they come."""
    for line in sys.stdin:
        if line.strip():
            yield line.strip()


def require_apart(files: Iterable, out_dir: str | Path) -> None:
    """Refuse to write results over what they are of.

    Raises:
        UserError: If a file lies in the folder for the results.
    """
    for file in files:
        if isinstance(file, Path) and file.resolve().parent == Path(out_dir).resolve():
            raise UserError(f'{file} lies in {out_dir}, where results would be written over it: give another --out-dir')


def _files(name: str | Path) -> list[Path]:
    path = Path(name)
    if path.is_dir():
        found = sorted(entry for entry in path.iterdir()
                       if entry.suffix.lower() in IMAGES | VIDEOS and not is_litter(entry.name))
    elif path.is_file():
        if path.suffix.lower() not in IMAGES | VIDEOS:
            raise UserError(f'{name} is neither an image ({" ".join(sorted(IMAGES))}) nor a video '
                            f'({" ".join(sorted(VIDEOS))})')
        found = [path]
    else:
        found = [Path(match) for match in sorted(glob(str(name), recursive=True))
                 if Path(match).suffix.lower() in IMAGES | VIDEOS]
    if not found:
        raise UserError(f'there is no image or video in {name}' if path.is_dir() else
                        f'there is no file {name}, and it matches none as a pattern')
    return found
