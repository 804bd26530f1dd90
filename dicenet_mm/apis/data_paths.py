"""Whether the folders and files of data that a configuration names are there, before anything slow is imported."""
import os
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config

from dicenet_mm.errors import UserError

from .user_data.config import data_sets


def require_data(cfg: Config, splits: Sequence[str]) -> None:
    """Refuse a configuration whose data sets have no folder, or no annotation file.

    Those that are made on first use name no folder, and are left to :func:`dicenet_mm.apis.check_data`.

    Raises:
        UserError: If one is missing, with what should be there.
    """
    for split in splits:
        loader = cfg.get(f'{split}_dataloader')
        for leaf, _ in data_sets(loader.dataset) if loader else ():
            root, notes = leaf.get('data_root') or '', leaf.get('ann_file') or ''
            if root and not os.path.isdir(root):
                raise missing_data('folder', root, f'{split}_dataloader', 'data_root')
            if notes and (root or os.path.isabs(notes)) and not os.path.exists(os.path.join(root, notes)):
                raise missing_data('annotation file', os.path.join(root, notes), f'{split}_dataloader', 'ann_file')


def missing_data(what: str, path: str, loader: str, key: str) -> UserError:
    """The error for a file or folder of data that there is not."""
    return UserError(f'there is no {what} {Path(path).absolute()} ({key} of {loader}): lay out the data as '
                     'docs/data.md shows, or use data of your own with --data DIR')
