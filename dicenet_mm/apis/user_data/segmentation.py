"""A person's own masks: VOC's layout for segmentation, or folders of images and masks."""
import csv
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from mmengine.config import Config
from mmseg.datasets import CityscapesDataset, PascalVOCDataset

from dicenet_mm.datasets.files import class_name, head, is_litter, read_lines
from dicenet_mm.datasets.segmentation import IGNORED
from dicenet_mm.errors import UserError
from dicenet_mm.visualization.text import class_colours

from ..inputs import IMAGES
from .config import replace_data_set, with_classes
from .layout import contents, fill_splits, hold_out, told_split, write_text
from .pairs import BESIDE, Pairs, pictures
from .polygons import polygon_masks
from .yolo import find_yolo

IMAGE_FOLDERS = ('jpegimages', 'images', 'image', 'imgs', 'img', 'img_dir')
MASK_FOLDERS = ('segmentationclassaug', 'segmentationclass', 'segmentationclasspng', 'masks', 'mask', 'labels',
                'annotations', 'ann_dir')
LISTS = dict(train=('train_aug', 'trainaug', 'train', 'trainval'), val=('val',), test=('test',))  # the first there is
CLASS_FILES = ('classes.txt', 'labels.txt', 'class_names.txt')
CLASS_TABLE = '_classes.csv'  # Roboflow's: number and name of each class
MANY = 50  # classes that need names, since so many values are rather levels of grey


class UnknownLayout(UserError):
    """A folder looks like none of the layouts of masks."""


def use(cfg: Config, folder: Path, splits: Sequence[str], classes: Sequence[str] | None = None) -> list[str]:
    """See :func:`dicenet_mm.apis.user_data.use_data`; the configuration is one of mmseg."""
    folder, work_dir = folder.resolve(), Path(cfg.work_dir)
    yolo = None
    try:
        parts, notes = _splits(folder)
        names = _class_names(folder)
    except UnknownLayout:
        yolo = find_yolo(folder)
        if not yolo:
            raise
    if yolo:
        names, parts, notes = polygon_masks(folder, yolo, work_dir)
    for split in splits:
        if split not in parts:
            raise UserError(f'{folder} has no {split} split, only {" and ".join(parts)}: docs/segmentation.md shows '
                            'the layouts')
    if names is None:
        names = tuple(classes or _numbered(parts))
        notes.append(f'there is no {CLASS_FILES[0]} in {folder}: the classes are ' + (
            "the checkpoint's" if classes else f'called {names[0]} to {names[-1]}, by the values in the masks'))
    if classes and tuple(classes) != names:
        raise UserError(f'{folder} has the classes {head(names)}, the checkpoint was trained on {head(classes)}: test '
                        'on data of the same classes in the same order, or train on this data first')
    metainfo = dict(classes=names, palette=palette(names))
    for split, pairs in parts.items():
        if not cfg.get(f'{split}_dataloader'):
            continue
        listed = write_text(work_dir / f'data/{split}.txt', '\n'.join(pairs.names))
        entry = dict(type='CheckedSegDataset', ann_file=str(listed), seg_map_suffix=pairs.mask_suffix,
                     # masks that were made of polygons lie in the work directory
                     data_root=str(folder) if pairs.masks.is_relative_to(folder) else '', metainfo=metainfo,
                     data_prefix=dict(img_path=str(pairs.images), seg_map_path=str(pairs.masks)),
                     test_mode=split != 'train')
        loader = cfg[f'{split}_dataloader']
        cfg[f'{split}_dataloader'] = dict(loader, dataset=replace_data_set(
            loader['dataset'], lambda own, entry=entry: dict(entry, pipeline=own['pipeline'])))
    for module in with_classes(cfg.model):
        module['num_classes'] = len(names)
    shown = parts['train' if 'train' in parts else 'test']
    return [f'{folder}: images in {_short(folder, shown.images)}, masks in {_short(folder, shown.masks)}, {len(names)} '
            'classes', *notes]


def palette(classes: Sequence[str]) -> list[tuple[int, int, int]]:
    """A colour (R, G, B) for each class: those of VOC and Cityscapes for their classes, else any; black behind."""
    for known in (PascalVOCDataset.METAINFO, CityscapesDataset.METAINFO):
        if tuple(classes) == known['classes']:
            return [tuple(colour) for colour in known['palette']]
    if classes[0] == 'background':
        return [(0, 0, 0), *class_colours(len(classes) - 1)]
    return class_colours(len(classes))


def _splits(folder: Path) -> tuple[dict[str, Pairs], list[str]]:
    """The pairs of each split that there is, and notes."""
    notes, parts = [], {}
    for base in _bases(folder):
        images, masks = _folder(base, IMAGE_FOLDERS), _folder(base, MASK_FOLDERS)
        if not images or not masks:
            if any(path.name.endswith(BESIDE) for path in base.glob(f'*{BESIDE}')):
                parts[told_split(base.name) or 'train'] = _pairs(base, base)
            continue
        lists = _lists(base)
        within = [(told_split(entry.name), entry) for entry in sorted(images.iterdir()) if entry.is_dir()]
        if lists:  # VOC's lists
            parts = {split: _pairs(images, masks, read_lines(path), path) for split, path in lists.items()}
        elif any(split for split, _ in within):  # images/train, masks/train
            parts = {split: _pairs(entry, _twin(masks, entry)) for split, entry in within if split}
        elif told_split(base.name) and base != folder:  # train/images, train/masks
            parts[told_split(base.name)] = _pairs(images, masks)
            continue
        else:
            parts = dict(train=_pairs(images, masks))
        break
    if not parts:
        hint = ('there are images but no masks' if any(path.suffix.lower() in IMAGES for path in folder.iterdir()) else
                'is it the right folder?')
        raise UnknownLayout(f'the layout of {folder} is not known: expected JPEGImages/ with SegmentationClass/ (VOC), '
                            'images/ with masks/, or images/ with labels/ of polygons (YOLO); found '
                            f'{contents(folder)}; {hint} (docs/segmentation.md shows the layouts)')
    if 'train' in parts and not parts.keys() & {'val', 'test'}:
        whole = parts['train']
        if len(whole.names) < 2:
            raise UserError(f'{whole.images} has a single image: two are needed, one to train and one to validate on')
        parts = {split: replace(whole, names=names)
                 for split, names in zip(('train', 'val'), hold_out(whole.names, whole.values()))}
        notes.append(f'there are no masks to validate on: a tenth of {whole.images} is held out for it, the same '
                     'images every time')
    fill_splits(parts)
    return parts, notes


def _bases(folder: Path) -> Iterator[Path]:
    """The folder, and those in it and in its VOCdevkit that may hold images and masks."""
    yield folder
    for parent in (folder, folder / 'VOCdevkit'):
        if parent.is_dir():
            yield from (entry for entry in sorted(parent.iterdir()) if entry.is_dir() and not is_litter(entry.name))


def _folder(base: Path, names: Sequence[str]) -> Path | None:
    """The first folder of these names, in any case, that has pictures in it, or in folders of it."""
    found = {entry.name.lower(): entry for entry in sorted(base.iterdir()) if entry.is_dir()}
    return next((found[name] for name in names if name in found and any(
        path.suffix.lower() in IMAGES and not is_litter(path.name) for pattern in ('*', '*/*')
        for path in found[name].glob(pattern))), None)


def _twin(masks: Path, images: Path) -> Path:
    twin = masks / images.name
    if not twin.is_dir():
        raise UserError(f'{images} has images, but there is no folder {twin} with their masks')
    return twin


def _lists(base: Path) -> dict[str, Path]:
    """The lists of a VOC folder by split."""
    found = {}
    for split, names in LISTS.items():
        paths = [path for name in names if (path := base / f'ImageSets/Segmentation/{name}.txt').is_file()]
        if paths:
            found[split] = paths[0]
    return found


def _pairs(images: Path, masks: Path, names: Sequence[str] | None = None, listed: Path | None = None) -> Pairs:
    """The images of a folder, or those of a list, and what the names of their masks end with."""
    files = {path.stem: path for path in pictures(images)}
    if names is None:
        names = list(files)
    else:
        names = [name if name in files else Path(name).stem for name in names]
    if not names:
        raise UserError(f'{listed} is empty: it needs the names of images, one a line, without folder or suffix'
                        if listed else f'{images} has no images ({contents(images)})')
    missing = [name for name in names if name not in files]
    if missing:
        raise UserError(f'{len(missing)} of the {len(names)} images in {listed} are not in {images}: '
                        f'{head(missing, 2)}')
    there = {path.name for path in masks.iterdir() if not is_litter(path.name) and path not in files.values()}
    endings = {name.removeprefix(names[0]) for name in there if name.startswith(names[0])} or {'.png'}
    without = {ending: [name for name in names if f'{name}{ending}' not in there] for ending in sorted(endings)}
    ending = min(without, key=lambda ending: len(without[ending]))
    if without[ending]:
        raise UserError(f'{len(without[ending])} of the {len(names)} images of {images} have no mask in {masks}: '
                        f'{head((f"{name}{ending}" for name in without[ending]), 2)} '
                        f'{"is" if len(without[ending]) == 1 else "are"} missing')
    return Pairs(images, masks, ending, names)


def _class_names(folder: Path) -> tuple[str, ...] | None:
    path = next((folder / name for name in CLASS_FILES if (folder / name).is_file()), None)
    table = next((place for place in (folder / CLASS_TABLE, *sorted(folder.glob(f'*/{CLASS_TABLE}')))
                  if place.is_file()), None)
    if path:
        names = [class_name(line) for line in read_lines(path)]
        names = names[names[:1] == ['__ignore__']:]  # labelme's name for the value 255
    elif table:
        rows = [row for row in csv.reader(read_lines(table)[1:]) if row]
        if [row[0].strip() for row in rows] != [str(number) for number in range(len(rows))]:
            raise UserError(f'{table} needs the numbers of the classes, 0, 1, 2 and so on, and their names')
        path, names = table, [class_name(','.join(row[1:])) for row in rows]
    else:
        return None
    names = tuple('background' if name == '_background_' else name for name in names)
    if len(names) < 2 or not all(names):
        raise UserError(f'{path} needs the names of two classes or more, one a line, in the order of their numbers')
    return names


def _numbered(parts: dict[str, Pairs]) -> list[str]:
    """Names for the classes 0 to the largest value in the masks.

    Raises:
        UserError: If the values look like something else than numbers of classes.
    """
    values = sorted(set().union(*(found for pairs in parts.values() for found in pairs.values().values())) - {IGNORED})
    top = max(values, default=0)
    if top == 0:
        raise UserError(f'the masks hold only {" and ".join(map(str, [*values, IGNORED]))}, and {IGNORED} is ignored: '
                        'give the classes the numbers 0, 1, 2 and so on')
    if 2 * len(values) <= top + 1 or top + 1 > MANY:
        raise UserError(
            f'the masks hold the values {head(values, 8)}, which look like levels of grey: give the classes the '
            f'numbers 0, 1, 2 and so on, without smoothing, or if these are numbers of classes already, name all '
            f'{top + 1} in {CLASS_FILES[0]}, one a line')
    return ['background', *(f'class_{value}' for value in range(1, top + 1))]


def _short(folder: Path, path: Path) -> str:
    return f'{path.relative_to(folder) if path.is_relative_to(folder) else path}/'


__all__ = ['palette', 'use']
