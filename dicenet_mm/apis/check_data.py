"""Data sets are checked before a model is built for them."""
import contextlib
import io
import logging
import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS, init_default_scope
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dicenet_mm.datasets import CheckedSegDataset
from dicenet_mm.datasets.detection import BoxDataset
from dicenet_mm.datasets.files import head
from dicenet_mm.datasets.images import MAX_UNREADABLE, SkipsUnreadable
from dicenet_mm.errors import UserError
from dicenet_mm.processes import is_first

from .data_paths import missing_data
from .data_report import report
from .user_data.config import data_sets, with_classes

LARGE = 64 * 2**20  # bytes of an annotation file that takes a while to read
MAX_LISTED = 100  # classes


@dataclass
class Split:
    """What a data loader gets: its annotation files, class names, number of images, and counts of each label.

    Counted are boxes that train or are measured with, or of ``'labels'`` and ``'masks'`` (see ``counted``) the images
    that each class occurs in. Apart from them are boxes that are ignored (difficult objects, crowds) or left out, and
    images that ``filter_cfg`` leaves out. ``paths`` are those of the images, ``sides`` (K, 2) the widths and heights of
    the boxes as shares of their images.
    """
    files: list[str] = field(default_factory=list)
    classes: Sequence[str] = ()
    images: int = 0
    counts: Counter = field(default_factory=Counter)
    counted: str = 'boxes'
    ignored: int = 0
    left_out: int = 0
    images_left_out: int = 0
    paths: list[str] = field(default_factory=list)
    sides: list[np.ndarray] = field(default_factory=list)


def check_data(cfg: Config, splits: Sequence[str] = ('train', 'val'), thorough: bool = False) -> dict[str, Split]:
    """See whether the data that a configuration names will do. Annotations are read, but no image is opened.

    Args:
        cfg: Configuration.
        splits: The data loaders to check, of ``'train'``, ``'val'`` and ``'test'``; those that are None are left out.
        thorough: Whether to read even annotation files of more than 64 MiB. Otherwise the data sets themselves find
            what is wrong with their content, a little later.

    Returns:
        What was read, by split.

    Raises:
        UserError: If files or folders are missing, a data set is empty, without a box that counts or of other classes
            than the model, or the training images do not fill a batch.
    """
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    contents = {}
    for name in splits:
        loader = cfg.get(f'{name}_dataloader')
        if not loader:
            continue
        split, batched, complete = Split(), 0, True
        for leaf, times in data_sets(loader.dataset):
            dataset = _build(leaf, f'{name}_dataloader')
            if dataset is None or not thorough and _is_large(dataset):
                complete = False
                continue
            _read(dataset, f'{name}_dataloader')
            _check_images(dataset)
            _check_classes(dataset, cfg.model, exact=cfg.get('default_scope') == 'mmpretrain')
            split.files.append(getattr(dataset, 'subset', '') or dataset.ann_file or dataset.data_root)
            split.classes = dataset.metainfo.get('classes') or ()
            split.images += len(dataset)
            batched += len(dataset) * times
            split.paths += [info['img_path'] for info in dataset.data_list if 'img_path' in info]
            if isinstance(dataset, CheckedSegDataset):
                split.counted = 'masks'
                split.counts.update(dataset.count_images() if thorough else ())
                continue
            split.counted = 'labels' if 'gt_label' in dataset.data_list[0] else 'boxes'
            _count(dataset, split)
        contents[name] = split
        if complete and split.counted != 'masks' and not split.counts:
            _refuse_empty(name, split)
        if name == 'train' and complete:
            _check_batches(cfg, batched)
    return contents


def print_data(contents: dict[str, Split], notes: Sequence[str] = ()) -> None:
    """Print what is trained or tested on: the images and the boxes of each class, as a table, and what is odd in it.

    Args:
        contents: As :func:`check_data` gives it.
        notes: Sentences to print before, such as those of :func:`dicenet_mm.apis.use_data`.
    """
    if not is_first():
        return
    table = Table('', *contents)
    for column in table.columns[1:]:
        column.justify = 'right'
    splits = contents.values()
    first = next(iter(splits))
    table.add_row('images', *(str(split.images) for split in splits))
    if any(split.images_left_out for split in splits):
        table.add_row('left out', *(str(split.images_left_out) for split in splits))
    table.add_section()
    for label, name in enumerate(first.classes[:MAX_LISTED]):
        table.add_row(Text(str(name)), *(str(split.counts[label]) for split in splits))
    if len(first.classes) > MAX_LISTED:
        table.add_row(f'{len(first.classes) - MAX_LISTED} more classes')
    if first.counted != 'masks':
        table.add_section()
        table.add_row(first.counted, *(str(split.counts.total()) for split in splits))
        if any(split.ignored for split in splits):
            table.add_row('ignored', *(str(split.ignored) for split in splits))
        if any(split.left_out for split in splits):
            table.add_row('left out', *(str(split.left_out) for split in splits))
    print(*notes, sep='\n')
    Console().print(table)
    for name, split in contents.items():
        print(f'{name}: {", ".join(split.files)}')
    for sentence in report(contents):
        print(f'note: {sentence}')


def _build(leaf: dict, loader: str) -> BaseDataset | None:
    """A configured data set, not read yet, whose files and folders are there; None if it is not of mmengine's kind."""
    with DATASETS.switch_scope_and_registry(None) as registry:
        kind = registry.get(leaf['type']) if isinstance(leaf['type'], str) else leaf['type']
    if kind is None or not issubclass(kind, BaseDataset):
        return None
    dataset = DATASETS.build(dict(leaf, pipeline=[], lazy_init=True, serialize_data=False))
    folders = dict(data_root=dataset.data_root, **{f'data_prefix.{key}': path
                                                   for key, path in dataset.data_prefix.items()})
    for key, path in folders.items():
        if path and not os.path.isdir(path):
            raise missing_data('folder', path, loader, key)
    if dataset.ann_file and not os.path.exists(dataset.ann_file):
        raise missing_data('annotation file', dataset.ann_file, loader, 'ann_file')
    return dataset


def _is_large(dataset: BaseDataset) -> bool:
    return os.path.isfile(dataset.ann_file) and os.path.getsize(dataset.ann_file) > LARGE


def _read(dataset: BaseDataset, loader: str) -> None:
    # Training reads the annotations again, and that is what the log should tell of. (logging.disable would go on for
    # mmengine's loggers, which remember it.)
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            dataset.full_init()
    finally:
        logger.setLevel(level)
    if not len(dataset):
        raise UserError(f'{dataset.ann_file or dataset.data_root} ({loader}) has no image to use: it lists none, or '
                        f'filter_cfg={dataset.filter_cfg} leaves none')


def _check_images(dataset: BaseDataset) -> None:
    names = {}
    allowed = MAX_UNREADABLE if isinstance(dataset, SkipsUnreadable) and not dataset.test_mode else 0
    for key, what in (('img_path', 'images'), ('seg_map_path', 'masks')):
        missing = []
        for info in dataset.data_list:
            folder, name = os.path.split(info.get(key) or '')
            if folder and folder not in names:
                names[folder] = set(os.listdir(folder)) if os.path.isdir(folder) else set()
            if folder and name not in names[folder]:
                missing.append(info[key])
        if len(missing) > allowed * len(dataset):
            raise UserError(f'{len(missing)} of the {len(dataset)} {what} of {dataset.ann_file or dataset.data_root} '
                            f'are missing: {head(missing, 2)}; put them there, or take them out of the annotations')


def _count(dataset: BaseDataset, split: Split) -> None:
    for info in dataset.data_list:
        if 'gt_label' in info:  # one, or in multi-label classification several
            split.counts.update(info['gt_label'] if isinstance(info['gt_label'], list) else [info['gt_label']])
        for instance in info.get('instances', ()):
            if instance.get('ignore_flag'):
                split.ignored += 1
            else:
                split.counts[instance['bbox_label']] += 1
    split.sides += [_sides(info) for info in dataset.data_list if info.get('instances')]
    if isinstance(dataset, BoxDataset):
        dropped = {what: count for what, count in dataset.box_faults.items() if what.endswith('dropped')}
        split.left_out += sum(dropped.values()) + dataset.other_classes.total()
        split.images_left_out += dataset.images_left_out


def _sides(info: dict) -> np.ndarray:
    boxes = np.array([entry['bbox'] for entry in info['instances'] if not entry.get('ignore_flag')], np.float64)
    boxes = boxes.reshape(-1, 4)
    return (boxes[:, 2:] - boxes[:, :2]) / (info['width'], info['height'])


def _refuse_empty(name: str, split: Split) -> None:
    """Raise a UserError for a split without truth; the images of a test may have none at all."""
    if name == 'test' and not split.ignored and not split.left_out:
        return
    why = [f'{split.ignored} are difficult objects or crowds'] if split.ignored else []
    why += [f'{split.left_out} have no area or an unknown class'] if split.left_out else []
    what = dict(boxes='box', labels='label')[split.counted]
    raise UserError(f'no {what} in {", ".join(split.files)} {"can be trained on" if name == "train" else "counts"}: '
                    f'{" and ".join(why) or f"its {split.images} images have none"}. Annotate objects, or mark these '
                    'as usual ones')


def _check_classes(dataset: BaseDataset, model: dict, exact: bool) -> None:
    """A detector may have more classes than its data; the outputs of a classifier are the classes (``exact``)."""
    classes = dataset.metainfo.get('classes') or ()
    if isinstance(classes, str):
        raise UserError(f'the classes of {dataset.ann_file or dataset.data_root} are the text {classes!r}, not a list '
                        f'of names: write classes=({classes!r},), with a comma')
    for module in with_classes(model):
        if module['num_classes'] < len(classes) or exact and module['num_classes'] != len(classes):
            raise UserError(f'the data set of {dataset.ann_file or dataset.data_root} has {len(classes)} classes '
                            f'({head(classes)}), but {module.get("type", "the model")} has num_classes='
                            f'{module["num_classes"]}: set it to {len(classes)}, or use --data, which does')


def _check_batches(cfg: Config, images: int) -> None:
    loader = cfg.train_dataloader
    batch = loader.get('batch_size')
    if not batch:
        return
    processes = int(os.environ.get('WORLD_SIZE', 1)) if cfg.get('launcher', 'none') != 'none' else 1
    images = math.ceil(images / processes)
    each = ' for each process' if processes > 1 else ''
    single = ('SSD cannot train on a batch of one image, since batch normalisation needs more than the single pixel of '
              'its last feature map')
    norms_train = cfg.model.get('type') == 'SSD' and not cfg.model.get('norm_eval')
    if norms_train and batch == 1:
        raise UserError(f'{single}: set train_dataloader.batch_size to 2 or more')
    if loader.get('sampler', {}).get('type') == 'InfiniteSampler':  # which fills every batch
        return
    if norms_train and images == 1:
        raise UserError(f'{single}, and there is only one training image{each}: add more')
    if loader.get('drop_last') and images < batch:
        raise UserError(f'{images} training images{each} do not fill a batch of {batch}, and '
                        'train_dataloader.drop_last takes only full ones: set train_dataloader.batch_size to '
                        f'{images} or less (--cfg-options train_dataloader.batch_size={images})')
    if norms_train and not loader.get('drop_last') and images % batch == 1:
        raise UserError(f'{single}, and the last batch of {images} images{each} in batches of {batch} has one: set '
                        'train_dataloader.drop_last=True')
