"""Images and videos from what a person types: files, folders and patterns."""
from collections.abc import Sequence
from glob import glob
from pathlib import Path

from dicenet_mm.datasets.files import is_litter
from dicenet_mm.errors import UserError
from dicenet_mm.formats import IMAGE_SUFFIXES, VIDEO_SUFFIXES

IMAGES, VIDEOS = set(IMAGE_SUFFIXES), set(VIDEO_SUFFIXES)


def expand_inputs(inputs: Sequence[str]) -> list[Path]:
    """The image and video files meant by a list of files, folders (all that is in them) and patterns, in order.

    Raises:
        UserError: If one of them leads to no image or video.
    """
    files = []
    for name in inputs:
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
            found = [Path(match) for match in sorted(glob(name, recursive=True))
                     if Path(match).suffix.lower() in IMAGES | VIDEOS]
        if not found:
            raise UserError(f'there is no image or video in {name}' if path.is_dir() else
                            f'there is no file {name}, and it matches none as a pattern')
        files += found
    return list(dict.fromkeys(files))


def require_apart(files: Sequence[Path], out_dir: str | Path) -> None:
    """Refuse to write results over what they are of.

    Raises:
        UserError: If a file lies in the folder for the results.
    """
    for file in files:
        if file.resolve().parent == Path(out_dir).resolve():
            raise UserError(f'{file} lies in {out_dir}, where results would be written over it: give another --out-dir')
