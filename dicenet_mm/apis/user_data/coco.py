"""The COCO layout: JSON files with images, annotations and categories, and the images in any folder."""
import json
from collections.abc import Sequence
from pathlib import Path

from dicenet_mm.datasets.detection import head, read_coco
from dicenet_mm.errors import UserError

from .layout import SPLIT_WORDS, Layout, contents, hold_out, told_split, write_text


def find_coco(folder: Path) -> list[Path]:
    """The JSON files of a folder that may be COCO annotations: its own, those in ``annotations/``, or in other folders.

    Of COCO's own there are several kinds: where some are named ``instances_*``, only these count.
    """
    found = next((files for pattern in ('annotations/*.json', '*.json', '*/*.json')
                  if (files := sorted(folder.glob(pattern)))), [])
    return [path for path in found if path.stem.startswith('instances_')] or found


def read_coco_layout(folder: Path, files: Sequence[Path], work_dir: Path,
                     classes: Sequence[str] | None = None) -> Layout:
    """Read the splits and class names of a folder in COCO layout.

    Args:
        folder: What the images are searched in.
        files: As :func:`find_coco` gives them.
        work_dir: Where copies of annotation files go that need a change.
        classes: Class names, in order, where they are settled.

    Raises:
        UserError: If a file cannot be read, its split not be told, or its images not be found.
    """
    paths = _splits(folder, files)
    parts = {split: read_coco(path) for split, path in paths.items()}
    notes = []
    held_out = list(parts) == ['train']
    if held_out:
        parts = _hold_out(parts['train'], paths['train'])
        notes.append(f'there are no annotations to validate on: a tenth of {paths["train"]} is held out for it, the '
                     f'same images every time; the two parts are in {work_dir}/data')
    names = (category['name'] for part in parts.values() for category in sorted(part['categories'], key=_id))
    classes = tuple(classes or dict.fromkeys(names))
    datasets, metrics = {}, {}
    for split, part in parts.items():
        source = paths['train'] if held_out else paths[split]
        fitted = _fit(part, classes)
        if held_out or fitted != part:
            path = write_text(work_dir / f'data/{split}.json', json.dumps(fitted))
        else:
            path = source.absolute()
        datasets[split] = [dict(type='CheckedCocoDataset', ann_file=str(path),
                                data_prefix=dict(img=f'{_image_folder(folder, source, part)}/'))]
        metric = dict(type='CocoMetric', ann_file=str(path), metric='bbox', classwise=True)
        metrics[split] = dict(mAP=metric, bbox=metric)
    for split, other in (('val', 'test'), ('test', 'val')):
        if split not in datasets and other in datasets:
            datasets[split], metrics[split] = datasets[other], metrics[other]
    return Layout('COCO', classes, datasets, metrics, 'coco/bbox_mAP', notes)


def _id(entry: dict):
    return entry['id']


def _splits(folder: Path, files: Sequence[Path]) -> dict[str, Path]:
    """The file of each split, told by its name or, where that says nothing, by its folder's."""
    splits, unknown = {}, []
    for path in files:
        names = [path.stem] if path.parent in (folder, folder / 'annotations') else [path.stem, path.parent.name]
        split = told_split(*names)
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
        read_coco(unknown[0])  # it may be no annotation file at all
        raise UserError(f'the split of {head(unknown)} cannot be told: put train, val or test into the names of the '
                        'JSON files')
    return {split: splits[split] for split in SPLIT_WORDS if split in splits}


def _hold_out(content: dict, path: Path) -> dict[str, dict]:
    names = {image['file_name']: image for image in content['images']}
    if len(names) < 2:
        raise UserError(f'{path} lists {len(names) or "no"} image{"s"[:len(names) != 1]}: two are needed, one to train '
                        'and one to validate on')
    parts = {}
    for split, part in zip(('train', 'val'), hold_out(list(names))):
        images = [names[name] for name in part]
        ids = {image['id'] for image in images}
        parts[split] = dict(content, images=images, annotations=[
            entry for entry in content['annotations'] if entry['image_id'] in ids])
    return parts


def _fit(content: dict, classes: Sequence[str]) -> dict:
    """The same annotations with what mmdet and pycocotools rely on.

    That is: the categories are the classes, in their order; annotations have unique ids, an area and iscrowd.
    """
    categories, annotations = content['categories'], content['annotations']
    if [category['name'] for category in categories] != list(classes):
        names = {category['id']: category['name'] for category in categories}
        labels = {name: label for label, name in enumerate(classes, 1)}
        annotations = [dict(entry, category_id=labels[names[entry['category_id']]]) for entry in annotations
                       if names.get(entry['category_id']) in labels]
        categories = [dict(id=label, name=name) for name, label in labels.items()]
    if any(not {'id', 'area', 'iscrowd'} <= entry.keys() for entry in annotations) or \
            len({entry['id'] for entry in annotations}) < len(annotations):
        annotations = [dict(dict(area=entry['bbox'][2] * entry['bbox'][3], iscrowd=0), **dict(entry, id=number))
                       for number, entry in enumerate(annotations, 1)]
    return dict(content, categories=categories, annotations=annotations)


def _image_folder(folder: Path, file: Path, content: dict) -> Path:
    """The folder that the file names of a JSON start from.

    Where several would do, since splits use the same names: the JSON's own, or one named in the JSON's name.
    """
    names = [image['file_name'] for image in content['images']]
    if not names:
        raise UserError(f'{file} lists no images')
    sample = names[::max(1, len(names) // 20)]
    folders = [file.parent, folder, *(path for pattern in ('*/', '*/*/') for path in sorted(folder.glob(pattern)))]

    def fit(place: Path):
        return sum((place / name).is_file() for name in sample), place.name.lower() in file.stem.lower()

    best = max(dict.fromkeys(folders), key=fit)
    if not fit(best)[0]:
        raise UserError(f'none of the images that {file} lists ({head(sample, 2)}) was found in {folder} or the '
                        f'folders in it ({contents(folder)}): put them there under these names')
    return best.absolute()
