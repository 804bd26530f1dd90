"""What a person's folder was recognised as."""
import os
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

VAL_SHARE = 0.1  # held out where there is nothing but a training set
# Words in names of files and folders.
SPLIT_WORDS = dict(train={'train', 'training', 'trainval'}, val={'val', 'valid', 'validation', 'dev', 'eval'},
                   test={'test', 'testing'})


@dataclass
class Layout:
    """A recognised folder.

    Attributes:
        name: Of the layout, such as ``'VOC'``.
        classes: Class names, in the order of the labels.
        datasets: For each of ``'train'``, ``'val'`` and ``'test'`` that there is, a configuration of a data set without
            metainfo and pipeline; several for training.
        metrics: For ``'val'`` and ``'test'``, the configuration of the metric, by the name that ``--eval`` knows; empty
            where the configuration's own metrics do for all data.
        best: The metric that tells the best checkpoint, as the log names it; empty as above.
        notes: Sentences that say what was chosen and why.
    """
    name: str
    classes: tuple[str, ...]
    datasets: dict[str, list[dict]]
    metrics: dict[str, dict[str, dict]]
    best: str
    notes: list[str]


def told_split(*names: str) -> str | None:
    """The split that is told by a word in the first of some names that tells one, or None."""
    return next((split for name in names for split, words in SPLIT_WORDS.items()
                 if words & set(re.split('[^a-z]+', name.lower()))), None)


def hold_out(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split names into those to train on and a tenth (one at least) to validate on, always the same ones."""
    names = sorted(names)
    held = set(random.Random(0).sample(names, max(1, round(VAL_SHARE * len(names)))))
    return [name for name in names if name not in held], sorted(held)


def write_text(path: Path, text: str) -> Path:
    """Write a file whole, since several processes may write the same one at once; returns its absolute path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f'.{os.getpid()}')
    temporary.write_text(text)
    os.replace(temporary, path)
    return path.absolute()


def contents(folder: Path) -> str:
    """What lies in a folder, for messages: its folders, and its files by suffix."""
    entries = sorted(folder.iterdir())
    folders = [f'{entry.name}/' for entry in entries if entry.is_dir()]
    suffixes = [entry.suffix or entry.name for entry in entries if entry.is_file()]
    files = [f'{suffixes.count(suffix)} {suffix} files' for suffix in dict.fromkeys(suffixes)]
    shown = [*folders[:6], *(['...'] if len(folders) > 6 else []), *files[:4]]
    return ', '.join(shown) or 'nothing'
