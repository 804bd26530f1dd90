"""The YOLO layout: a text file of boxes for each image, and a data.yaml that says where they are, or usual folders."""
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

from dicenet_mm.datasets.files import class_name, head, is_litter, read_lines, read_text, walk
from dicenet_mm.datasets.images import IMAGE_SUFFIXES
from dicenet_mm.datasets.yolo import read_rows
from dicenet_mm.errors import UserError

from .layout import Layout, fill_splits, hold_out, told_split, write_text

MAX_YAML = 2**20  # bytes
NAMES = ('classes.txt', 'obj.names', 'labels.txt')  # class names, one a line, where no data.yaml has them


def find_yolo(folder: Path) -> dict | None:
    """The content of a folder's data.yaml or of one of its own making; None where nothing looks like YOLO's layout.

    Its keys are ``file`` (the data.yaml, if there is one), ``names``, ``kpt_shape``, ``path``, and ``train``, ``val``
    and ``test``, lists of folders, images or files of lists.

    Raises:
        UserError: If a data.yaml cannot be read, or its names are wrong.
    """
    for path in sorted([*folder.glob('*.yaml'), *folder.glob('*.yml')], key=lambda path: path.stem not in
                       ('data', 'dataset')):
        if is_litter(path.name):
            continue
        found = _read_yaml(path)
        if isinstance(found, dict) and 'names' in found and {'train', 'val', 'test', 'path'} & found.keys():
            return dict(found, file=path)
    return _usual_folders(folder)


def read_yolo_layout(folder: Path, found: dict, work_dir: Path, classes: Sequence[str] | None = None) -> Layout:
    """Read the splits and class names of a folder in YOLO layout.

    Args:
        folder: The data.
        found: As :func:`find_yolo` gives it.
        work_dir: Where the lists of images go.
        classes: Class names, in order, where they are settled.

    Raises:
        UserError: If a folder or list is missing, a row cannot be understood, or there is a single image.
    """
    names, parts, label_files, notes = read_splits(folder, found, work_dir)
    keypoints = bool(found.get('kpt_shape'))
    datasets = {}
    for split, images in parts.items():
        content = dict(images=[[os.path.relpath(path, folder) for path in (image, label_files[image])]
                               for image in images], names=names, keypoints=keypoints)
        datasets[split] = [dict(type='YOLODataset', data_root=str(folder), data_prefix=dict(img=''),
                                ann_file=str(write_text(work_dir / f'data/{split}.json', json.dumps(content))))]
    fill_splits(datasets)
    metric = dict(type='CocoDetectionMetric')
    metrics = {split: dict(mAP=metric, bbox=metric) for split in ('val', 'test') if split in datasets}
    return Layout('YOLO', tuple(classes or dict.fromkeys(names)), datasets, metrics, 'coco/bbox_mAP', notes)


class Splits(NamedTuple):
    """What a folder holds: the class names, the images of each split, the label file of each image, and notes."""
    names: list[str]
    parts: dict[str, list[str]]
    label_files: dict[str, str]
    notes: list[str]


def read_splits(folder: Path, found: dict, work_dir: Path) -> Splits:
    """The images of a folder in YOLO layout, and where their labels are; arguments and errors as above."""
    names = _names(found)
    keypoints = bool(found.get('kpt_shape'))
    parts = {}
    for split, key in (('train', 'train'), ('val', 'val'), ('val', 'valid'), ('test', 'test')):
        entries = found.get(key)
        if entries:
            images = [image for entry in (entries if isinstance(entries, list) else [entries])
                      for image in _images(folder, found, entry, split)]
            parts.setdefault(split, list(dict.fromkeys(images)))
    if not parts:
        raise UserError(f'{found["file"]} names no folder of images: it needs train, val or test')
    label_files = {image: _label_file(image) for images in parts.values() for image in images}
    if not any(map(os.path.isfile, label_files.values())):
        first = next(iter(label_files.items()), ('no image', ''))
        raise UserError(f'no image of {folder} has a label file: that of {first[0]} would be {first[1]}')
    if names is None:
        top = max((label for path in label_files.values() for label, *_ in read_rows(path)), default=-1)
        names = [f'class_{number}' for number in range(top + 1)]
    notes = [] if 'file' in found or found.get('names') else [
        f'there is no data.yaml or {NAMES[0]} in {folder}: the classes are called by their numbers']
    if list(parts) == ['train']:
        whole = parts['train']
        if len(whole) < 2:
            raise UserError(f'{folder} has a single image: two are needed, one to train and one to validate on')
        shown = {image: {label for label, *_ in read_rows(label_files[image], keypoints)} for image in whole}
        parts = dict(zip(('train', 'val'), hold_out(whole, shown)))
        notes.append(f'there are no images to validate on: a tenth of the {len(whole)} is held out for it, the same '
                     f'ones every time; the lists are in {work_dir}/data')
    bare = [image for image, path in label_files.items() if not os.path.isfile(path)]
    if bare:
        notes.append(f'{len(bare)} of the {len(label_files)} images have no label file and count as showing nothing: '
                     f'{head(bare, 2)}')
    shared = set(parts.get('train', ())) & set(parts.get('val', parts.get('test', ())))
    if shared:
        notes.append(f'{len(shared)} of the {len(parts.get("val") or parts["test"])} images to validate on are trained '
                     'on, too: the metric will be too good')
    return Splits(names, parts, label_files, notes)


def _read_yaml(path: Path):
    try:
        return yaml.safe_load(read_text(path, MAX_YAML))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f'{path} cannot be read as YAML ({" ".join(str(error).split())[:200]}): mend it') from None


def _names(found: dict) -> list[str] | None:
    """Class names by number, from a list or a dict."""
    names, count = found.get('names'), found.get('nc')
    if names is None:
        return None
    where = found.get('file', 'the list of class names')
    if isinstance(names, dict):
        try:
            numbered = {int(number): name for number, name in names.items()}
        except (TypeError, ValueError):
            raise UserError(f'{where}: the keys of names are {head(names)}, not numbers of classes') from None
        if sorted(numbered) != list(range(len(numbered))):
            raise UserError(f'{where}: names has the numbers {head(sorted(numbered))}: it needs 0, 1, 2 and so on')
        names = [numbered[number] for number in range(len(numbered))]
    if not isinstance(names, list):
        raise UserError(f'{where}: names is {str(names)[:40]!r}, not a list of class names')
    names = [class_name(name) for name in names]
    empty = [str(number) for number, name in enumerate(names) if not name]
    if empty or not names:
        raise UserError(f'{where}: ' + (f'class {head(empty)} has no name' if names else 'names is empty'))
    if isinstance(count, int) and count != len(names):
        raise UserError(f'{where} has {len(names)} names, but nc is {count}: mend one of them')
    return names


def _usual_folders(folder: Path) -> dict | None:
    """Images with label files and no data.yaml: in ``images`` and ``labels``, or beside each other."""
    images = [folder / path for path in walk(folder, IMAGE_SUFFIXES)]
    labelled = [path for path in images if os.path.isfile(_label_file(path))]
    if not any(_is_label(_label_file(path)) for path in labelled[:20]):
        return None
    found = {}
    places = {path.parent for path in labelled}
    for path in images:
        if path.parent in places:
            split = told_split(*reversed(path.relative_to(folder).parent.parts)) or 'train'
            found.setdefault(split, []).append(str(path))
    texts = [folder / path for path in walk(folder, NAMES)]
    listed = next((path for name in NAMES for path in texts if path.name == name), None)
    if listed:
        found['names'] = read_lines(listed)
        found['file'] = listed
    return dict(found, path=str(folder))


def _is_label(path: Path) -> bool:
    try:
        return bool(read_rows(str(path)))
    except UserError:
        return False


def _images(folder: Path, found: dict, entry, split: str) -> list[str]:
    """The images that an entry of data.yaml means: a folder, an image, or a file of a list.

    Paths are relative to ``path``, which is relative to the file. Where that leads nowhere, they are looked for in the
    folder itself: files are moved, and Roboflow's begin with ``../``.
    """
    if not isinstance(entry, str) or not entry.strip():
        raise UserError(f'{found["file"]}: {split} is {str(entry)[:60]!r}, not the path of a folder, image or list')
    base = str(found.get('path') or '.')
    clean = entry.strip().replace('\\', '/')
    # from the back: all of the path, or its last parts
    parts = [part for part in Path(clean).parts if part not in ('/', '..', '.')]
    tries = [folder / base / clean, folder / clean,
             *(folder.joinpath(*parts[start:]) for start in range(len(parts)))]
    place = next((path for path in tries if path.exists()), None)
    if place is None:
        raise UserError(f'{found["file"]}: there is no {tries[0]} ({split}), nor {tries[1]}: mend the path')
    place = Path(os.path.normpath(place))
    if place.is_dir():
        inner = place / 'images'  # the folder of a split with images and labels in it
        images = [str(place / path) for path in walk(place, IMAGE_SUFFIXES)]
        beside = [path for path in images if Path(path).is_relative_to(inner)]
        if not images:
            raise UserError(f'{place} ({split} of {found["file"]}) has no images')
        return beside or images
    if place.suffix.lower() in IMAGE_SUFFIXES:
        return [str(place)]
    images = []
    for line in read_lines(place):
        line = line.replace('\\', '/')
        options = [Path(line)] if os.path.isabs(line) else [
            place.parent / line, folder / base / line, folder / line,
            *(folder.joinpath(*Path(line).parts[start:]) for start in range(1, len(Path(line).parts)))]
        images.append(os.path.normpath(next((path for path in options if path.exists()), options[0])))
    if not images:
        raise UserError(f'{place} ({split}) is empty: it needs the paths of images, one a line')
    return images


def _label_file(image: str | Path) -> str:
    """The label file of an image: in ``labels`` where its path has ``images``, or beside it."""
    path = Path(image)
    parts = list(path.parts)
    for index in range(len(parts) - 2, -1, -1):
        if parts[index].lower() in ('images', 'jpegimages', 'imgs'):
            for labels in ('labels', 'Labels', 'labels_txt'):
                other = Path(*parts[:index], labels, *parts[index + 1:]).with_suffix('.txt')
                if other.is_file() or other.parent.is_dir():
                    return str(other)
            break
    return str(path.with_suffix('.txt'))


__all__ = ['Splits', 'find_yolo', 'read_splits', 'read_yolo_layout']
