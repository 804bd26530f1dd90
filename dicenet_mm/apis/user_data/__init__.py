"""``--data DIR``: a person's own data for a configuration that was written for another data set.

A task has a file here with a function of the signature of :func:`dicenet_mm.apis.user_data.detection.use`.
"""
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from mmengine.config import Config

from dicenet_mm.errors import UserError

from . import classification, detection, segmentation
from .config import allow_outside

# By default_scope.
TASKS = dict(mmdet=detection.use, mmpretrain=classification.use, mmseg=segmentation.use)


def use_data(cfg: Config, folder: str, splits: Sequence[str],
             classes: Sequence[str] | None = None) -> list[str]:
    """Replace the data of a configuration by a person's own, and fit the classes of its heads and metrics to them.

    Pipelines, batch sizes and the like stay the configuration's. Lists and annotation files that have to be made go
    into ``<work_dir>/data``.

    Args:
        cfg: Changed in place.
        folder: The data.
        splits: Those that must be there, of ``'train'``, ``'val'`` and ``'test'``.
        classes: The class names of a checkpoint, in order; those in the data by default.

    Returns:
        Sentences that say what was recognised and chosen.

    Raises:
        UserError: If the folder, its layout, a split or a file in it is missing or wrong, or has other classes.
    """
    path = Path(folder).expanduser()
    if not path.is_dir():
        siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        nearest = get_close_matches(path.name, siblings, n=1)
        raise UserError(f'{folder} is a file: --data takes the folder' if path.exists() else
                        f'there is no folder {folder}: ' +
                        (f'did you mean {path.parent / nearest[0]}?' if nearest else 'check the path'))
    scope = cfg.get('default_scope')
    if scope not in TASKS:
        raise UserError(f'--data works with configurations whose default_scope is {" or ".join(TASKS)}, and here it is '
                        f'{scope}: write the data sets into the configuration')
    return TASKS[scope](cfg, path, splits, classes)


__all__ = ['allow_outside', 'use_data']
