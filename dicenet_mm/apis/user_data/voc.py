"""The VOC layout: JPEGImages/, Annotations/*.xml and, if there are, ImageSets/Main/{trainval,train,val,test}.txt."""
from collections.abc import Sequence
from pathlib import Path

from dicenet_mm.datasets.detection import read_voc
from dicenet_mm.errors import UserError

from .layout import Layout, contents, hold_out, write_text


def find_voc(folder: Path) -> list[Path]:
    """The folders with ``Annotations/*.xml``: the folder itself, or those in it or in its VOCdevkit."""
    for parent in (folder, folder / 'VOCdevkit'):
        places = [parent, *sorted(parent.iterdir())] if parent.is_dir() else []
        found = [place for place in places if next((place / 'Annotations').glob('*.xml'), None)]
        if found:
            return found
    return []


def read_voc_layout(folders: Sequence[Path], work_dir: Path, classes: Sequence[str] | None = None) -> Layout:
    """Read the splits and class names of folders in VOC layout.

    Args:
        folders: As :func:`find_voc` gives them, such as VOC2007 and VOC2012.
        work_dir: Where the lists go that are made for lack of one.
        classes: Class names, in order, where they are settled.

    Raises:
        UserError: If images or an annotation are missing, or cannot be read.
    """
    for folder in folders:
        if not (folder / 'JPEGImages').is_dir():
            raise UserError(f'{folder} has Annotations/ but no JPEGImages/ (it has {contents(folder)}): put the images '
                            'there, whatever their format')
    splits, notes = _splits(folders, work_dir)
    names = set()
    for folder, path in {entry for entries in splits.values() for entry in entries}:
        for name in _names(path):
            objects = read_voc(folder / f'Annotations/{name}.xml').iter('object')
            names.update(entry.findtext('name', '') for entry in objects)
    datasets = {split: [dict(type='CheckedVOCDataset', ann_file=str(path), data_prefix=dict(sub_data_root=f'{folder}/'))
                        for folder, path in entries] for split, entries in splits.items()}
    trained, held = ({(folder, name) for folder, path in splits.get(split, ()) for name in _names(path)}
                     for split in ('train', 'val'))
    if trained & held:
        notes.append(f'{len(trained & held)} of the {len(held)} images to validate on are trained on, too: the metric '
                     'will be too good')
    metric = dict(mAP=dict(type='PascalVOCMetric'))
    classes = tuple(classes or sorted(names))
    return Layout('VOC', classes, datasets, dict(val=metric, test=metric), 'pascal_voc/mAP', notes)


def _splits(folders: Sequence[Path], work_dir: Path) -> tuple[dict[str, list[tuple[Path, Path]]], list[str]]:
    """For each split, its pairs of folder and list; and notes."""
    notes = []
    lists = {split: {} for split in ('trainval', 'train', 'val', 'test')}
    for folder in folders:
        for split, found in lists.items():
            path = folder / f'ImageSets/Main/{split}.txt'
            if not path.is_file():
                continue
            names = _names(path)
            if not names:
                raise UserError(f'{path} is empty: it needs the names of images, one a line, without folder or suffix')
            if split == 'test' and not (folder / f'Annotations/{names[0]}.xml').is_file():
                notes.append(f'{path} is not used: its images have no annotations')  # as that of VOC2012
                continue
            found[folder] = path
        if not any(folder in found for found in lists.values()):
            names = sorted(path.stem for path in (folder / 'Annotations').glob('*.xml'))
            lists['trainval'][folder] = write_text(work_dir / f'data/{folder.name}_all.txt', '\n'.join(names))
            notes.append(f'{folder} has no lists in ImageSets/Main: all of its annotations are used')

    wholes = ('trainval', 'train') if lists['test'] or not lists['val'] else ('train', 'trainval')
    train = {folder: path for split in reversed(wholes) for folder, path in lists[split].items()}
    on_val = lists['val'] and not set(train.values()) & set(lists['trainval'].values())
    val = lists['val'] if on_val or not lists['test'] else lists['test']
    if train and not val:
        folder, path = next(iter(train.items()))
        kept, held = hold_out(_names(path))
        if not kept:
            raise UserError(f'{path} names a single image: two are needed, one to train and one to validate on')
        train[folder], val = (write_text(work_dir / f'data/{folder.name}_{split}.txt', '\n'.join(names))
                              for split, names in (('train', kept), ('val', held)))
        val = {folder: val}
        notes.append(f'there is no list to validate on (val or test): a tenth of {path} is held out for it, the same '
                     f'images every time; the lists are in {work_dir}/data')
    splits = {'train': list(train.items())}
    for split, found in (('val', val), ('test', lists['test'] or val)):
        splits[split] = list(found.items())[:1]  # one data set, whose pipeline test-time augmentation can replace
        notes += [f'{path} is not used: {split} takes the first folder that has such a list'
                  for path in list(found.values())[1:]]
    return {split: entries for split, entries in splits.items() if entries}, notes


def _names(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line.strip()]
