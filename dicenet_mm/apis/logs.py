"""What mmengine has logged of trainings."""
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dicenet_mm.errors import UserError

#: What belongs to no curve.
OTHERS = {'step', 'iter', 'epoch', 'time', 'data_time', 'memory'}


def read_scalars(run: str | Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The curves of a training: by name the steps, and the values at them.

    Of a training that was resumed, what was done twice is taken from the later time.

    Args:
        run: A work directory, or a file of scalars in it.

    Raises:
        UserError: If there is no such file, or it holds no scalars.
    """
    place = Path(run)
    files = [place] if place.is_file() else sorted(place.glob('*/vis_data/scalars.json'))
    if not files:
        raise UserError(f'{run} has no */vis_data/scalars.json: give the work directory of a training')
    found = {}
    for file in files:
        entries = [_entry(line) for line in file.read_text(errors='replace').splitlines()]
        entries = [entry for entry in entries if isinstance(entry.get('step'), (int, float))]
        if entries:
            first = min(entry['step'] for entry in entries)
            for points in found.values():
                for step in [step for step in points if step >= first]:
                    del points[step]
        for entry in entries:
            for name, value in entry.items():
                if name not in OTHERS and isinstance(value, (int, float)):
                    found.setdefault(name, {})[int(entry['step'])] = float(value)
    found = {name: points for name, points in found.items() if points}
    if not found:
        raise UserError(f'{files[-1]} holds no scalars of a training')
    return {name: (np.array(sorted(points)), np.array([points[step] for step in sorted(points)]))
            for name, points in found.items()}


def main_metrics(names: Sequence[str]) -> list[str]:
    """Loss, rate and the first metric of a validation, of those there are."""
    measured = [name for name in names if '/' in name]
    measured.sort(key=lambda name: not name.endswith(('mAP', 'mIoU', 'top1', 'f1-score')))
    measured = measured or [name for name in names if name in ('mIoU', 'mAP')]
    return [name for name in ('loss', 'lr', *measured[:1]) if name in names]


def run_names(runs: Sequence[str | Path]) -> list[str]:
    """Short names of trainings: what tells their paths apart."""
    paths = [os.path.abspath(run) for run in runs]
    if len(set(paths)) == 1:
        return [Path(paths[0]).name] * len(paths)
    common = os.path.commonpath(paths)
    return [os.path.relpath(path, common) for path in paths]


def _entry(line: str) -> dict:
    try:
        entry = json.loads(line)
    except ValueError:  # cut off as the training ended
        return {}
    return entry if isinstance(entry, dict) else {}
