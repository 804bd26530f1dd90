"""What a person's folder was recognised as."""
import os
import random
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dicenet_mm.datasets.files import is_litter

VAL_SHARE = 0.1  # held out where there is nothing but a training set
# Words in names of files and folders.
SPLIT_WORDS = dict(train={'train', 'training', 'trainval', 'trainset'},
                   val={'val', 'valid', 'validation', 'valset', 'minival', 'dev', 'eval'},
                   test={'test', 'testing', 'testset'})


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
    """The split that is told by a word in the first of some names that tells one, or None.

    Words end at digits, signs and capitals, as in ``train2017`` and ``TrainImages``.
    """
    for name in names:
        spaced = re.sub('(?<=[a-z])(?=[A-Z])', ' ', name)
        words = set(re.split('[^a-z]+', spaced.lower())) | set(re.split('[^a-z]+', name.lower()))
        split = next((split for split, known in SPLIT_WORDS.items() if known & words), None)
        if split:
            return split
    return None


def hold_out(names: Sequence[str], classes: Mapping[str, Collection] | None = None) -> tuple[list[str], list[str]]:
    """Split names into those to train on and a tenth (one at least) to validate on, always the same ones.

    Args:
        names: What is split.
        classes: Those in each. Of every class that two names or more have, a tenth of these and at least one is held
            out, and at least one stays (Sechidis et al., 2011: the rarest class first). So it may be more than a tenth.
    """
    names = sorted(names)
    drawn = random.Random(0).sample(names, len(names))
    count = max(1, round(VAL_SHARE * len(names)))
    holders = {}
    for name in drawn:
        for label in (classes or {}).get(name, ()):
            holders.setdefault(label, []).append(name)
    left = {label: len(found) for label, found in holders.items()}  # to train on
    wanted = {label: max(1, round(VAL_SHARE * len(found))) for label, found in holders.items() if len(found) > 1}
    held = set()
    for label in sorted(wanted, key=lambda label: (len(holders[label]), str(label))):
        for name in holders[label]:
            if wanted[label] <= 0:
                break
            if name not in held and all(left[other] > 1 for other in classes[name]):
                held.add(name)
                for other in classes[name]:
                    left[other] -= 1
                    if other in wanted:
                        wanted[other] -= 1
    for name in drawn:
        if len(held) >= count:
            break
        if name not in held and all(left[other] > 1 for other in (classes or {}).get(name, ())):
            held.add(name)
            for other in (classes or {}).get(name, ()):
                left[other] -= 1
    held = held or set(drawn[:count])
    return [name for name in names if name not in held], sorted(held)


def fill_splits(splits: dict) -> None:
    """Validate on the test split where there is no other, and the other way round."""
    for split, other in (('val', 'test'), ('test', 'val')):
        if split not in splits and other in splits:
            splits[split] = splits[other]


def write_text(path: Path, text: str) -> Path:
    """Write a file whole, since several processes may write the same one at once; returns its absolute path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f'.{os.getpid()}')
    temporary.write_text(text, encoding='utf-8')
    os.replace(temporary, path)
    return path.absolute()


def contents(folder: Path) -> str:
    """What lies in a folder, for messages: its folders, and its files by suffix."""
    entries = sorted(entry for entry in folder.iterdir() if not is_litter(entry.name))
    folders = [f'{entry.name}/' for entry in entries if entry.is_dir()]
    suffixes = [entry.suffix or entry.name for entry in entries if entry.is_file()]
    files = [f'{suffixes.count(suffix)} {suffix} files' for suffix in dict.fromkeys(suffixes)]
    shown = [*folders[:6], *(['...'] if len(folders) > 6 else []), *files[:4]]
    return ', '.join(shown) or 'nothing'
