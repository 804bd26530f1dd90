"""COCO's JSON files, read as annotations whatever tool wrote them."""
import os
from collections import Counter
from functools import lru_cache
from pathlib import Path

from mmengine.dist import get_rank

from dicenet_mm.errors import UserError

from .annotations import Annotations
from .files import class_name, head, read_json, without_collection

LARGE = 50e6  # bytes, of which reading takes seconds
NOT_NEEDED = 'segmentation', 'keypoints', 'coco_url', 'flickr_url', 'date_captured'  # most of COCO's own files
NEEDED = dict(images={'id', 'file_name'}, annotations={'image_id', 'category_id', 'bbox'}, categories={'id', 'name'})


class NotCocoError(UserError):
    """A JSON file holds something else than COCO's annotations."""


def read_coco(path: str | Path, truth: bool = True) -> Annotations:
    """The images and boxes of a COCO annotation file.

    Its ids only tie its parts together and may be of any kind. Entries of images that name one file are joined, and so
    are categories of one name. A category that only names the group of all others is none.

    Args:
        path: The file. While it stays as it is, it is read once.
        truth: Whether it needs annotations; COCO's own test sets have none.

    Raises:
        NotCocoError: If it is a JSON file without lists of images, annotations and categories.
        UserError: If it cannot be read, or its annotations cannot be understood.
    """
    try:
        state = os.stat(path)
    except OSError:
        raise UserError(f'there is no annotation file {path}') from None
    with without_collection():
        return _read(str(path), truth, (state.st_mtime_ns, state.st_size))


@lru_cache(maxsize=4)
def _read(path: str, truth: bool, state: tuple[int, int]) -> Annotations:
    if state[1] > LARGE and get_rank() == 0:
        print(f'reading {path} ({state[1] / 1e6:.0f} MB) ...', flush=True)
    content = read_json(path, left_out=NOT_NEEDED)
    _require_lists(content, path, truth)
    classes, label_of = _categories(_without_group(content), path)
    names, ids, sizes, index_of, unclear = _images(content['images'], path)
    rows, unknown = [], Counter()
    for number, entry in enumerate(content.get('annotations', ())):
        image = index_of.get(_key(entry['image_id']))
        if image is None:
            raise UserError(f'{path} annotates image {entry["image_id"]}, which is not among its images')
        if image in unclear:
            first, second = unclear[image]
            raise UserError(f'{path} gives {first} and {second} the same id, {entry["image_id"]}, so their boxes '
                            'cannot be told apart: number the images anew before joining files')
        label = label_of.get(_key(entry['category_id']))
        if label is None:
            unknown[str(entry['category_id'])] += 1
            continue
        try:
            x, y, width, height = map(float, entry['bbox'])
        except (TypeError, ValueError, OverflowError):
            raise UserError(f'{path}: the bbox of annotation {entry.get("id", number)} is {str(entry["bbox"])[:80]}, '
                            'not [x, y, width, height]') from None
        rows.append((image, label, x, y, x + width, y + height, _number(entry.get('area')),
                     _number(entry.get('iscrowd')) > 0 or _number(entry.get('ignore')) > 0))
    return Annotations.of_rows(path, classes, names, ids, sizes, rows, unknown)


def _require_lists(content, path: str, truth: bool) -> None:
    if not isinstance(content, dict):
        raise NotCocoError(f'{path} is not in COCO format: it holds a {type(content).__name__}, not images, '
                           'annotations and categories')
    kinds = ('images', 'annotations', 'categories') if truth else ('images', 'categories')
    missing = [key for key in kinds if not isinstance(content.get(key), list)]
    if missing:
        raise NotCocoError(f'{path} is not in COCO format: it has no list of {" and ".join(missing)} (it has '
                           f'{head(content) or "nothing"})')
    for kind, keys in NEEDED.items():
        for index, entry in enumerate(content.get(kind, ())):
            if not isinstance(entry, dict) or not keys <= entry.keys():
                raise UserError(f'{path} is not in COCO format for objects: {kind}[{index}] is without '
                                f'{" and ".join(sorted(keys.difference(entry if isinstance(entry, dict) else ())))}')
    if not content['images']:
        raise UserError(f'{path} lists no images')


def _without_group(content: dict) -> list[dict]:
    """The categories but for one that only names the group of all others, as Roboflow writes it, and has no box."""
    entries = content['categories']
    used = {_key(entry['category_id']) for entry in content.get('annotations', ())}
    groups = [index for index, entry in enumerate(entries) if _key(entry['id']) not in used and len(entries) > 1
              and entry.get('supercategory') in (None, '', 'none')
              and all(other is entry or other.get('supercategory') == entry['name'] for other in entries)]
    return [entry for index, entry in enumerate(entries) if index not in groups]


def _categories(entries: list[dict], path: str) -> tuple[tuple[str, ...], dict]:
    """Class names in the order of the categories' ids, and the label of each id."""
    name_of = {}
    for index, entry in enumerate(entries):
        key, name = _key(entry['id']), class_name(entry['name'])
        if not name:
            raise UserError(f'{path}: categories[{index}] has no name ({entry["name"]!r}): give the class one')
        if name_of.setdefault(key, name) != name:
            raise UserError(f'{path} gives the classes {name_of[key]} and {name} the same id, {entry["id"]}: number '
                            'the categories anew')
    ordered = sorted(name_of, key=lambda key: (isinstance(key, str), key))
    classes = tuple(dict.fromkeys(name_of[key] for key in ordered))
    labels = {name: label for label, name in enumerate(classes)}
    return classes, {key: labels[name] for key, name in name_of.items()}


def _images(entries: list[dict], path: str):
    """Names, ids and sizes of the files, the index of each image id, and indices whose id two files have.

    The ids are the file's own where each is a number of its own, else 0, 1, 2 and so on.
    """
    index_of_name, index_of, unclear = {}, {}, {}
    names, ids, sizes = [], [], []
    for entry in entries:
        name = entry['file_name']
        if not isinstance(name, str) or not name.strip() or '\0' in name:
            raise UserError(f'{path}: the file_name of image {entry["id"]} is {name!r}, not the name of a file')
        name = os.path.normpath(name.strip().replace('\\', '/'))
        size = [_side(entry.get(side)) for side in ('width', 'height')]
        index = index_of_name.setdefault(name, len(names))
        key = _key(entry['id'])
        if index == len(names):
            names.append(name)
            ids.append(key)
            sizes.append(size)
        elif not all(sizes[index]):
            sizes[index] = size
        if index_of.setdefault(key, index) != index:
            unclear[index_of[key]] = names[index_of[key]], name
    if not all(isinstance(key, int) for key in ids) or len(set(ids)) < len(ids):
        ids = list(range(len(names)))
    return names, ids, sizes, index_of, unclear


def _key(value) -> int | str:
    """An id, the same for 7, 7.0 and '7'."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int):
        return int(value)
    text = str(value).strip()
    digits = text.removeprefix('-')
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) < 100 else text


def _number(value) -> float:
    """A number that may be written as text; 0 for anything else."""
    if isinstance(value, str):
        value = dict(true=1, false=0).get(value.strip().lower(), value)
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return 0.


def _side(value) -> int:
    """A width or height in px; 0 where it says nothing."""
    value = _number(value)
    return int(value) if 1 <= value < 2**31 else 0
