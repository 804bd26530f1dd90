"""The COCO layout: JSON files with images, annotations and categories, and the images in any folder."""
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dicenet_mm.datasets.annotations import Annotations
from dicenet_mm.datasets.coco import NotCocoError, read_coco
from dicenet_mm.datasets.files import head, is_litter
from dicenet_mm.datasets.images import ImageError, image_size
from dicenet_mm.errors import UserError

from .layout import SPLIT_WORDS, Layout, contents, fill_splits, hold_out, told_split, write_text

DEPTH = 3  # of folders that are searched for images
SAMPLE = 200  # names that are looked for in each


def find_coco(folder: Path) -> list[Path]:
    """The JSON files of a folder that hold COCO annotations: its own, those in ``annotations/``, or in other folders.

    Of COCO's own there are several kinds: where some are named ``instances_*``, only these count.

    Raises:
        UserError: If a file is no JSON, or its annotations are broken; or if there are none but other JSON files, which
            the message tells of.
    """
    for pattern in ('annotations/*', '*', '*/*', '*/*/*'):
        files = sorted(path for path in folder.glob(pattern) if path.suffix.lower() == '.json' and path.is_file()
                       and not any(map(is_litter, path.relative_to(folder).parts)))
        files = [path for path in files if path.stem.startswith('instances_')] or files
        found = []
        for path in files:
            try:
                read_coco(path)
                found.append(path)
            except NotCocoError:
                continue
        if found:
            return found
    return []


def why_not_coco(folder: Path) -> str:
    """What is wrong with the JSON files of a folder that has no COCO annotations, or nothing where it has none."""
    path = next(iter(sorted([*folder.glob('annotations/*.json'), *folder.glob('*.json')])), None)
    try:
        if path and not is_litter(path.name):
            read_coco(path)
    except UserError as error:
        return str(error)
    return ''


def read_coco_layout(folder: Path, files: Sequence[Path], work_dir: Path,
                     classes: Sequence[str] | None = None) -> Layout:
    """Read the splits and class names of a folder in COCO layout.

    Args:
        folder: What the images are searched in.
        files: As :func:`find_coco` gives them.
        work_dir: Where the lists of images go that are held out.
        classes: Class names, in order, where they are settled.

    Raises:
        UserError: If a file cannot be read, its split not be told, or its images not be found.
    """
    paths = _splits(folder, files)
    parts = {split: read_coco(path) for split, path in paths.items()}
    notes = []
    places = {split: image_folder(folder, paths[split], part, split) for split, part in parts.items()}
    datasets = {split: [dict(type='CheckedCocoDataset', ann_file=str(path.absolute()), data_root=str(folder),
                             data_prefix=dict(img=f'{places[split]}/'))] for split, path in paths.items()}
    classes = tuple(classes or dict.fromkeys(name for part in parts.values() for name in part.classes))
    if list(parts) == ['train']:
        whole = parts['train']
        if len(whole.names) < 2:
            raise UserError(f'{paths["train"]} lists 1 image: two are needed, one to train and one to validate on')
        for split, chosen in zip(('train', 'val'), hold_out(whole.names, _classes_of(whole))):
            listed = write_text(work_dir / f'data/{split}.txt', '\n'.join(chosen))
            datasets[split] = [dict(datasets['train'][0], subset=str(listed))]
        notes.append(f'there are no annotations to validate on: a tenth of {paths["train"]} is held out for it, the '
                     f'same images every time; the lists are in {work_dir}/data')
    elif 'train' in parts:
        notes += _overlap(paths, parts, places)
    fill_splits(datasets)
    metric = dict(type='CocoDetectionMetric')
    metrics = {split: dict(mAP=metric, bbox=metric) for split in ('val', 'test') if split in datasets}
    return Layout('COCO', classes, datasets, metrics, 'coco/bbox_mAP', notes)


def _classes_of(part: Annotations) -> dict[str, set[int]]:
    """The labels in each image, of boxes that count."""
    found = {name: set() for name in part.names}
    for image, label in zip(part.image[~part.ignored].tolist(), part.label[~part.ignored].tolist()):
        found[part.names[image]].add(label)
    return found


def _splits(folder: Path, files: Sequence[Path]) -> dict[str, Path]:
    """The file of each split, told by its name or, where that says nothing, by its folders'."""
    splits, unknown = {}, []
    for path in files:
        split = told_split(path.stem, *reversed(path.relative_to(folder).parent.parts))
        if split is None:
            unknown.append(path)
        elif split in splits:
            raise UserError(f'{splits[split]} and {path} both look like the {split} split: leave one of them there')
        else:
            splits[split] = path
    if len(unknown) == 1 and 'train' not in splits:
        splits['train'] = unknown.pop()
    elif len(unknown) == 1 and len(splits) == 1:
        splits['val'] = unknown.pop()
    if unknown:
        raise UserError(f'the split of {head(unknown)} cannot be told: put train, val or test into the names of the '
                        'JSON files')
    return {split: splits[split] for split in SPLIT_WORDS if split in splits}


def image_folder(folder: Path, file: Path, part: Annotations, split: str) -> Path:
    """The folder that the file names of a JSON start from.

    Where several have the files, since splits name theirs alike: the one whose own path tells the split of the JSON,
    then the one with the most of the files, of the noted sizes, named in the JSON's name, nearest to the JSON.

    Raises:
        UserError: If none has the files, or nothing tells which of several it is.
    """
    sample = list(range(len(part.names)))[::max(1, len(part.names) // SAMPLE)][:SAMPLE]
    places = dict.fromkeys([file.parent, folder, *_folders(folder, DEPTH)])
    there = {place: count for place in places if (count := sum((place / part.names[index]).is_file()
                                                               for index in sample))}
    if not there:
        raise UserError(f'none of the images that {file} lists ({head((part.names[index] for index in sample), 2)}) '
                        f'was found in {folder} or the folders in it ({contents(folder)}): put them there under these '
                        'names')
    candidates = [place for place in there if there[place] >= max(there.values()) / 2]

    def evidence(place: Path):
        told = told_split(*reversed(place.relative_to(folder).parts))
        near = len(os.path.commonpath((place, file.parent)))
        named = place != folder and len(_words(place.name) & _words(file.stem))
        return (told == split) - (told not in (None, split)), there[place], _sized(place, part, sample), named, near

    ranked = sorted(candidates, key=evidence, reverse=True)
    rivals = [place for place in ranked[1:] if evidence(place) == evidence(ranked[0])
              and not _same(place, ranked[0], part, sample)]
    if rivals:
        raise UserError(f'the images of {file} may be those in {ranked[0]} or in {rivals[0]}, which have files of the '
                        f'same names: put {split} into the name of the right folder')
    return ranked[0].absolute()


def _words(name: str) -> set[str]:
    return set(re.findall('[a-z0-9]+', name.lower()))


def _folders(folder: Path, depth: int) -> list[Path]:
    try:
        inner = sorted(path for path in folder.iterdir() if path.is_dir() and not is_litter(path.name))
    except OSError:
        return []
    return [*inner, *(path for place in inner for path in _folders(place, depth - 1))] if depth else []


def _sized(place: Path, part: Annotations, sample: Sequence[int]) -> int:
    """How many of the first few images have the size that the annotations note, either way round."""
    right = 0
    for index in sample[:8]:
        try:
            right += sorted(image_size(place / part.names[index])) == sorted(part.sizes[index].tolist())
        except ImageError:
            continue
    return right


def _same(first: Path, second: Path, part: Annotations, sample: Sequence[int]) -> bool:
    """Whether the first few images of two folders are the same files or copies."""
    def content(place: Path, name: str):
        path = place / name
        return path.read_bytes() if path.is_file() else None
    return all(content(first, part.names[index]) == content(second, part.names[index]) for index in sample[:8])


def _overlap(paths: dict[str, Path], parts: dict[str, Annotations], places: dict[str, Path]) -> list[str]:
    """A note where images are trained and validated on.

    Raises:
        UserError: If these have other boxes in the two files, so that one of them means other images.
    """
    held = 'val' if 'val' in parts else 'test'
    train, other = parts['train'], parts[held]
    index_of = {os.path.realpath(places['train'] / name): index for index, name in enumerate(train.names)}
    shared = {index_of[real]: index for index, name in enumerate(other.names)
              if (real := os.path.realpath(places[held] / name)) in index_of}
    if not shared:
        return []
    boxes = [_boxes_by_image(part) for part in (train, other)]
    differing = sum(boxes[0].get(first) != boxes[1].get(second) for first, second in shared.items())
    if len(shared) == len(other.names) and differing > len(shared) / 2:
        raise UserError(
            f'{paths[held]} and {paths["train"]} annotate the same images of {places[held]} with different boxes: the '
            f'images of {held} seem to be missing. Put them into a folder named {held}')
    return [f'{len(shared)} of the {len(other.names)} images to validate on are trained on, too: the metric will be '
            'too good']


def _boxes_by_image(part: Annotations) -> dict[int, set]:
    found = {}
    rounded = np.nan_to_num(part.boxes).round().tolist()
    for image, label, box in zip(part.image.tolist(), part.label.tolist(), rounded):
        found.setdefault(image, set()).add((part.classes[label], *box))
    return found
