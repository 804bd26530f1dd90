"""A person's own images to classify: class folders, or for several labels an image, COCO layout."""
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mmengine.config import Config

from dicenet_mm.datasets.classification import class_folders
from dicenet_mm.datasets.files import head, is_litter, walk
from dicenet_mm.datasets.images import IMAGE_SUFFIXES, ImageError, image_size
from dicenet_mm.errors import UserError

from .coco import find_coco, read_coco_layout
from .detection import fit
from .layout import SPLIT_WORDS, Layout, contents, fill_splits, hold_out, told_split, write_text


def use(cfg: Config, folder: Path, splits: Sequence[str], classes: Sequence[str] | None = None) -> list[str]:
    """See :func:`dicenet_mm.apis.user_data.use_data`; the configuration is one of mmpretrain."""
    several = cfg.model.head.type.startswith('MultiLabel')
    return fit(cfg, folder, splits, classes, recognise_coco if several else recognise_folders)


def recognise_coco(folder: Path, work_dir: Path, classes: Sequence[str] | None = None) -> Layout:
    """Read COCO's layout for several labels an image.

    Raises:
        UserError: If it is another one, or something in it is wrong.
    """
    folder = folder.resolve()
    files = find_coco(folder)
    if not files:
        raise UserError(f'{folder} has no annotations/*.json or single JSON beside the images ({contents(folder)}): '
                        'several labels an image are read from object annotations in COCO layout. For class folders, '
                        'take a configuration with one label an image')
    layout = read_coco_layout(folder, files, work_dir, classes)
    datasets = {split: [dict(entry, type='MultiLabelCocoDataset', complete=False) for entry in entries]
                for split, entries in layout.datasets.items()}
    return replace(layout, datasets=datasets, metrics={}, best='')


def recognise_folders(folder: Path, work_dir: Path, classes: Sequence[str] | None = None) -> Layout:
    """Read class folders: ``train/<class>/``, ``val/<class>/`` and ``test/<class>/``, or ``<class>/`` to be split.

    Raises:
        UserError: If it is another layout, or class folders are empty, unreadable, or of classes without training.
    """
    folder = folder.resolve()
    places = _splits(folder)
    own = [entry for entry in _folders(folder)
           if not told_split(entry.name) and next(walk(entry, IMAGE_SUFFIXES), None)]
    if places == dict(train=folder) and len(own) < 2 and find_coco(folder):
        raise UserError(f'{folder} looks like COCO layout ({contents(folder)}): take a multilabel_* configuration for '
                        'it, or give a folder of class folders')
    found = {split: class_folders(place) for split, place in places.items()}
    for split, place in places.items():
        _require_readable(place, found[split])
    classes = tuple(classes or found.get('train') or dict.fromkeys(name for names in found.values() for name in names))
    if len(classes) < 2:
        raise UserError(f'{folder} has a single class folder, {classes[0]}: two classes are needed. Give the folder '
                        'that holds the class folders')
    if 'train' in found:
        for split in found:
            unknown = [name for name in found[split] if name not in found['train']]
            if unknown:
                raise UserError(f'{places[split]} has classes that {places["train"]} has not ({head(unknown)}): the '
                                'folders of a class need the same name in both')
    datasets = {split: [dict(type='ImageFolderDataset', data_root=str(place))] for split, place in places.items()}
    notes = []
    if list(places) == ['train']:
        for split, names in _hold_out(folder, found['train']).items():
            lines = (f'{path} {classes.index(name)}' for name, paths in names.items() if name in classes
                     for path in paths)
            listed = write_text(work_dir / f'data/{split}.txt', '\n'.join(lines))
            datasets[split] = [dict(type='ImageFolderDataset', data_root=str(places['train']), ann_file=str(listed))]
        notes.append(f'there are no images to validate on: a tenth of each class in {places["train"]} is held out for '
                     f'it, the same images every time; the lists are in {work_dir}/data')
    elif 'train' in places:
        held = places.get('val') or places['test']
        shared = _real(places['train'], found['train']) & _real(held, class_folders(held))
        if shared:
            notes.append(f'{len(shared)} class folders are both trained and validated on: the metric will be too good')
    fill_splits(datasets)
    return Layout('class folder', classes, datasets, {}, '', notes)


def _splits(folder: Path) -> dict[str, Path]:
    """The folder of each split; if none has class folders in it, the folder itself is what there is to train on."""
    splits = {}
    for place in _folders(folder):
        split = told_split(place.name)
        if not split or not _folders(place):  # a class may be called "train", too
            continue
        if split in splits:
            raise UserError(f'{splits[split]} and {place} both look like the {split} split: leave one of them there')
        splits[split] = place
    return {split: splits[split] for split in SPLIT_WORDS if split in splits} or dict(train=folder)


def _folders(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not is_litter(entry.name))


def _require_readable(place: Path, classes: dict[str, list[str]]) -> None:
    """Refuse classes of which no image can be read; usually a single file of each is opened."""
    for name, paths in classes.items():
        for path in paths:
            try:
                image_size(place / path)
                break
            except ImageError as error:
                reason = error
        else:
            raise UserError(f'no image in the class folder {place / name} can be read; the last one: {reason}')


def _hold_out(folder: Path, classes: dict[str, list[str]]) -> dict[str, dict[str, list[str]]]:
    """The images of each class to train on, and a tenth of them to validate on, where there are two at least."""
    parts = {name: hold_out(paths) if len(paths) > 1 else (paths, []) for name, paths in classes.items()}
    if not any(held for _, held in parts.values()):
        raise UserError(f'{folder} has a single image of each class: more are needed, to train and to validate on, or '
                        'folders train/ and val/ that hold class folders')
    return {split: {name: part[index] for name, part in parts.items()} for index, split in enumerate(('train', 'val'))}


def _real(place: Path, classes: Sequence[str]) -> set[str]:
    return {os.path.realpath(place / name) for name in classes}
