"""The VOC layout: images and an XML file for each, beside each other or in two folders, with or without lists."""
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dicenet_mm.datasets.files import Stems, head, is_litter, read_lines, read_xml, walk
from dicenet_mm.datasets.images import IMAGE_SUFFIXES
from dicenet_mm.datasets.voc import bare_name, read_annotation
from dicenet_mm.errors import UserError

from .layout import Layout, contents, fill_splits, hold_out, told_split, write_text

ANNOTATION_FOLDERS = ('annotations', 'annotation', 'xmls', 'xml', 'labels')
IMAGE_FOLDERS = ('jpegimages', 'images', 'image', 'imgs', 'img')


@dataclass(frozen=True)
class Place:
    """Where annotations are.

    Attributes:
        root: The data.
        parts: The folders that lead from it to this one.
        xmls: The folder of XML files in it; ``'.'`` is the folder itself.
        images: The same of the images.
    """
    root: Path
    parts: tuple[str, ...]
    xmls: str = '.'
    images: str = '.'

    @property
    def folder(self) -> Path:
        return self.root.joinpath(*self.parts)

    @property
    def name(self) -> str:
        return '_'.join(self.parts) or self.root.name


def find_voc(folder: Path) -> list[Place]:
    """Where XML files and their images are: such as ``Annotations/`` and ``JPEGImages/``, or both in one folder.

    Raises:
        UserError: If a folder of XML files has no images.
    """
    tops = {}
    for path in walk(folder, ('.xml',)):
        parts = Path(path).parent.parts
        # the first folder of a usual name, else the one the files lie in
        named = next((count for count, name in enumerate(parts) if name.lower() in ANNOTATION_FOLDERS), None)
        tops.setdefault(parts if named is None else parts[:named + 1], []).append(path)
    found = [_place(folder, parts) for parts, paths in tops.items() if _is_voc(folder, paths)]
    if found and all(place.xmls == '.' for place in found):
        return [Place(folder, ())]
    return [place for place in found if place.xmls != '.']


def _is_voc(folder: Path, paths: Sequence[str]) -> bool:
    """Whether one of the first XML files is VOC's or broken; other tools have XML of their own."""
    for path in paths[:3]:
        try:
            if read_xml(folder / path).tag == 'annotation':
                return True
        except UserError:
            return True
    return False


def _place(folder: Path, parts: tuple[str, ...]) -> Place:
    xmls = folder.joinpath(*parts)
    if parts and parts[-1].lower() in ANNOTATION_FOLDERS:
        inner = {entry.name.lower(): entry.name for entry in sorted(xmls.parent.iterdir()) if entry.is_dir()}
        for name in IMAGE_FOLDERS:
            if name in inner:
                return Place(folder, parts[:-1], parts[-1], inner[name])
        if not _has_images(xmls) and _has_images(xmls.parent):
            return Place(folder, parts[:-1], parts[-1])
    if not _has_images(xmls):
        base = xmls.parent if parts else xmls
        lacks = f'has {xmls.name}/ but no' if parts else 'has XML files but no images beside them and no'
        raise UserError(f'{base} {lacks} JPEGImages/ (it has {contents(base)}): put the images there, whatever their '
                        'format')
    return Place(folder, parts)


def _has_images(folder: Path) -> bool:
    return any(entry.suffix.lower() in IMAGE_SUFFIXES and not is_litter(entry.name) for entry in folder.iterdir())


def read_voc_layout(places: Sequence[Place], work_dir: Path, classes: Sequence[str] | None = None) -> Layout:
    """Read the splits and class names of a folder in VOC layout.

    Args:
        places: As :func:`find_voc` gives them, such as VOC2007 and VOC2012.
        work_dir: Where the lists go that are made for lack of one.
        classes: Class names, in order, where they are settled.

    Raises:
        UserError: If an annotation is missing, or cannot be read.
    """
    xmls = {place: Stems(place.folder / place.xmls, ('.xml',)) for place in places}
    names_in = {}

    def names_of(place: Place, path: Path) -> list[set[str]]:
        """The class names in each image of a list, whose annotations are read once."""
        found = {}
        for name in _names(path, xmls[place]):
            if (place, name) not in names_in:
                _, objects = read_annotation(place.folder / place.xmls / (xmls[place].find(name) or f'{name}.xml'))
                names_in[place, name] = {thing for thing, _, _ in objects}
            found[name] = names_in[place, name]
        return found

    splits, notes = _splits(places, xmls, work_dir, names_of)
    used = {}
    for entries in splits.values():
        for place, path in entries:
            used.update({(place, name): things for name, things in names_of(place, path).items()})
    datasets = {split: [dict(
        type='CheckedVOCDataset', ann_file=str(path), data_root=str(place.root),
        data_prefix=dict(sub_data_root=f'{place.folder}/'), ann_subdir=place.xmls, img_subdir=place.images)
        for place, path in entries] for split, entries in splits.items()}
    for place in places:
        images = Stems(place.folder / place.images, IMAGE_SUFFIXES)
        bare = [path for stem, path in images.paths.items() if not xmls[place].find(stem)]
        if bare:
            notes.append(f'{len(bare)} of the {len(images.paths)} images in {place.folder / place.images} have no XML '
                         f'file and are left out: {head(bare, 2)}')
    trained, held = ({(place, name) for place, path in splits.get(split, ()) for name in _names(path, xmls[place])}
                     for split in ('train', 'val'))
    if trained & held:
        notes.append(f'{len(trained & held)} of the {len(held)} images to validate on are trained on, too: the metric '
                     'will be too good')
    metric = dict(mAP=dict(type='PascalVOCMetric'))
    classes = tuple(classes or sorted(set().union(*used.values()) if used else ()))
    return Layout('VOC', classes, datasets, dict(val=metric, test=metric), 'pascal_voc/mAP', notes)


def _splits(places: Sequence[Place], xmls: dict[Place, Stems], work_dir: Path,
            names_of) -> tuple[dict[str, list[tuple[Place, Path]]], list[str]]:
    """For each split, its pairs of place and list; and notes."""
    notes = []
    lists = {split: {} for split in ('trainval', 'train', 'val', 'test')}
    for place in places:
        for split, found in lists.items():
            path = place.folder / f'ImageSets/Main/{split}.txt'
            if not path.is_file():
                continue
            names = _names(path, xmls[place])
            if not names:
                raise UserError(f'{path} is empty: it needs the names of images, one a line, without folder or suffix')
            if split == 'test' and not xmls[place].find(names[0]):
                notes.append(f'{path} is not used: its images have no annotations')  # as that of VOC2012
                continue
            found[place] = path
        if not any(place in found for found in lists.values()):
            _make_lists(place, xmls[place], lists, work_dir, notes)

    wholes = ('trainval', 'train') if lists['test'] or not lists['val'] else ('train', 'trainval')
    train = {place: path for split in reversed(wholes) for place, path in lists[split].items()}
    on_val = lists['val'] and not set(train.values()) & set(lists['trainval'].values())
    val = lists['val'] if on_val or not lists['test'] else lists['test']
    if train and not val:
        place, path = next(iter(train.items()))
        things = names_of(place, path)
        if len(things) < 2:
            raise UserError(f'{path} names a single image: two are needed, one to train and one to validate on')
        kept, held = hold_out(list(things), things)
        train[place], val = (write_text(work_dir / f'data/{place.name}_{split}.txt', '\n'.join(names))
                             for split, names in (('train', kept), ('val', held)))
        val = {place: val}
        notes.append(f'there is no list to validate on (val or test): a tenth of {path} is held out for it, the same '
                     f'images every time; the lists are in {work_dir}/data')
    splits = {'train': list(train.items())}
    for split, found in (('val', val), ('test', lists['test'] or val)):
        splits[split] = list(found.items())[:1]  # one data set, whose pipeline test-time augmentation can replace
        notes += [f'{path} is not used: {split} takes the first folder that has such a list'
                  for path in list(found.values())[1:]]
    splits = {split: entries for split, entries in splits.items() if entries}
    fill_splits(splits)
    return splits, notes


def _make_lists(place: Place, xmls: Stems, lists: dict[str, dict], work_dir: Path, notes: list[str]) -> None:
    """Lists of all annotations of a folder: by the splits that names of folders tell, or one for all."""
    if not xmls.paths:
        return
    within = {}
    own = told_split(*reversed(place.parts))
    for name in sorted(xmls.paths):
        within.setdefault(told_split(*reversed(name.split('/')[:-1])) or own or 'trainval', []).append(name)
    for split, names in within.items():
        label = 'all' if split == 'trainval' else split
        lists[split][place] = write_text(work_dir / f'data/{place.name}_{label}.txt', '\n'.join(names))
    if 'trainval' in within:
        notes.append(f'{place.folder} has no lists in ImageSets/Main: all of its annotations are used')


def _names(path: Path, xmls: Stems) -> list[str]:
    return list(dict.fromkeys(bare_name(name, xmls) for name in read_lines(path)))


__all__ = ['find_voc', 'read_voc_layout']
