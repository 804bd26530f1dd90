"""mmdet's COCO and VOC data sets, checked as they are read."""
import json
import logging
import os
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

from mmdet.datasets import CocoDataset, VOCDataset
from mmengine.logging import print_log
from mmengine.registry import DATASETS

from dicenet_mm.errors import UserError

from .images import SkipsUnreadable, image_size


def head(names: Iterable, count: int = 5) -> str:
    """The first few of many names, and how many more there are."""
    names = [str(name) for name in names]
    return ', '.join(names[:count]) + (f' and {len(names) - count} more' if len(names) > count else '')


def read_voc(path: str | Path) -> ET.Element:
    """The root of a VOC annotation.

    Raises:
        UserError: If there is no such file, or it cannot be parsed.
    """
    try:
        return ET.parse(path).getroot()
    except FileNotFoundError:
        raise UserError(f'there is no annotation {path}: each name in a list of ImageSets/Main (one a line, without '
                        'folder or suffix) needs one') from None
    except ET.ParseError as error:
        raise UserError(f'{path} cannot be read as XML ({error}): mend it, or take it out of its list') from None


def read_coco(path: str | Path) -> dict:
    """The content of a COCO annotation file.

    Raises:
        UserError: If there is no such file, or it cannot be parsed, or is not in COCO's format for objects.
    """
    try:
        content = json.loads(Path(path).read_bytes())
    except FileNotFoundError:
        raise UserError(f'there is no annotation file {path}') from None
    except ValueError as error:
        raise UserError(f'{path} cannot be read as JSON ({error}): it may be cut off or of another kind') from None
    require_coco(content, path)
    return content


def require_coco(content, path: str | Path) -> None:
    """Raise a UserError that names the file if its content is not in COCO's format for objects."""
    if not isinstance(content, dict):
        raise UserError(f'{path} is not in COCO format: it holds a {type(content).__name__}, not images, annotations '
                        'and categories')
    missing = [key for key in ('images', 'annotations', 'categories') if not isinstance(content.get(key), list)]
    if missing:
        raise UserError(f'{path} is not in COCO format: it has no list of {" and ".join(missing)} (it has '
                        f'{head(content) or "nothing"})')
    for kind, keys in (('images', {'id', 'file_name'}), ('annotations', {'image_id', 'category_id', 'bbox'}),
                       ('categories', {'id', 'name'})):
        for index, entry in enumerate(content[kind]):
            if not isinstance(entry, dict) or not keys <= entry.keys():
                raise UserError(f'{path} is not in COCO format for objects: {kind}[{index}] is without '
                                f'{" and ".join(sorted(keys.difference(entry if isinstance(entry, dict) else ())))}')
    for entry in content['annotations']:
        box = entry['bbox']
        if not (isinstance(box, list) and len(box) == 4 and all(isinstance(side, (int, float)) for side in box)):
            raise UserError(f'{path}: the bbox of annotation {entry.get("id")} is {box}, not [x, y, width, height]')
    known = {image['id'] for image in content['images']}
    stray = next((entry for entry in content['annotations'] if entry['image_id'] not in known), None)
    if stray:
        raise UserError(f'{path} annotates image {stray["image_id"]}, which is not among its images')


class ChecksBoxes:
    """For a detection data set of mmdet (stand before it): mends boxes, and tells once what was mended.

    Boxes are clipped to the image, and dropped where nothing of a pixel's size is left.
    """

    def load_data_list(self) -> list[dict]:
        """See mmdet.

        Raises:
            UserError: If boxes are annotated, but none has a class of this data set.
        """
        self.box_faults, self.other_classes = Counter(), Counter()
        data_list = [info for info in super().load_data_list() if info]
        if self.other_classes and not any(info['instances'] for info in data_list):
            raise UserError(f'no box in {self.ann_file} has a class of this configuration: it has '
                            f'{head(self.metainfo["classes"])}, the annotations {head(sorted(self.other_classes))}. '
                            'Use --data, which reads the class names, or set metainfo.classes of the data set')
        if self.box_faults:
            print_log(f'{self.ann_file}: ' + ', '.join(f'{count} boxes {what}' for what, count in
                                                       sorted(self.box_faults.items())), 'current', logging.WARNING)
        if self.other_classes:
            print_log(f'{self.ann_file}: {sum(self.other_classes.values())} boxes are left out, since their classes '
                      f"are not among the configuration's: {head(sorted(self.other_classes))}",
                      'current', logging.WARNING)
        return data_list

    def clip(self, box: Sequence[float], width: int, height: int) -> list[float] | None:
        """A box [x1, y1, x2, y2] in px within the image, or None if less than a pixel wide or high is left."""
        x1, y1, x2, y2 = box
        clipped = [min(max(x1, 0), width), min(max(y1, 0), height), min(max(x2, 0), width), min(max(y2, 0), height)]
        if not (clipped[2] - clipped[0] >= 1 and clipped[3] - clipped[1] >= 1):  # NaN is dropped, too
            self.box_faults['without area dropped'] += 1
            return None
        # One pixel more or less is how tools count, from 0 or from 1.
        if max(abs(before - after) for before, after in zip(box, clipped)) > 1:
            self.box_faults['reaching out of their image clipped'] += 1
        return clipped


@DATASETS.register_module()
class CheckedCocoDataset(ChecksBoxes, SkipsUnreadable, CocoDataset):
    """mmdet's ``CocoDataset`` that mends boxes, says what is wrong with its file, and skips unreadable images.

    Images without a noted size get that of the file; annotations need no ``area`` and ``iscrowd``.
    """

    def COCOAPI(self, path: str):
        """The annotation file as pycocotools reads it.

        Raises:
            UserError: If the file cannot be read, or its categories would be mistaken for other classes.
        """
        try:
            coco = super().COCOAPI(path)
        except (ValueError, AssertionError, LookupError, TypeError):
            read_coco(path)  # says what is wrong
            raise
        if self.test_mode:  # COCO's own test sets come without truth
            coco.dataset.setdefault('annotations', [])
        require_coco(coco.dataset, path)
        if not coco.dataset['images']:
            raise UserError(f'{path} lists no images')
        self.category_names = {category['id']: category['name'] for category in coco.dataset['categories']}
        self.check_categories(list(self.category_names.values()), path)
        return coco

    def check_categories(self, names: Sequence[str], path: str) -> None:
        """See whether the categories of a file, in its order, are numbered as the classes are.

        Raises:
            UserError: If they would be mistaken for other classes.
        """
        classes = self.metainfo['classes']
        shared = [name for name in names if name in classes]
        # mmdet numbers the labels by the file's order, whatever the order of the classes.
        if shared != list(islice(classes, len(shared))):
            raise UserError(f'the categories of {path} ({head(shared)}) are not in the order of the '
                            f"configuration's classes ({head(classes)}), which mixes up the labels. "
                            'Use --data, which puts them in order')

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """See mmdet."""
        image = dict(raw_data_info['raw_img_info'])
        if not image.get('width') or not image.get('height'):
            image['width'], image['height'] = image_size(os.path.join(self.data_prefix['img'], image['file_name']))
        annotations = []
        for annotation in raw_data_info['raw_ann_info']:
            if annotation['category_id'] not in self.cat2label:
                self.other_classes[self.category_names.get(annotation['category_id'], annotation['category_id'])] += 1
                continue
            x, y, w, h = annotation['bbox']
            box = self.clip([x, y, x + w, y + h], image['width'], image['height'])
            if box:
                x1, y1, x2, y2 = box
                annotations.append({'area': w * h, **annotation, 'bbox': [x1, y1, x2 - x1, y2 - y1]})
        return super().parse_data_info(dict(raw_img_info=image, raw_ann_info=annotations))


@DATASETS.register_module()
class CheckedVOCDataset(ChecksBoxes, SkipsUnreadable, VOCDataset):
    """mmdet's ``VOCDataset`` that mends boxes, names files that are wrong, and skips unreadable images.

    Images may have any suffix, not only ``.jpg``; those without a noted size get that of the file.
    """

    def load_data_list(self) -> list[dict]:
        folder = Path(self.sub_data_root, self.img_subdir)
        self.image_names = {Path(name).stem: name for name in sorted(os.listdir(folder))} if folder.is_dir() else {}
        return super().load_data_list()

    def parse_data_info(self, img_info: dict) -> dict | None:
        """See mmdet; None for a blank line of the list.

        Raises:
            UserError: If the annotation is missing or cannot be read.
        """
        if not img_info['img_id'].strip():
            return None
        name = self.image_names.get(img_info['img_id'], f'{img_info["img_id"]}.jpg')
        root = read_voc(img_info['xml_path'])
        path = os.path.join(self.sub_data_root, self.img_subdir, name)
        try:
            width, height = (int(root.findtext(f'size/{side}') or 0) for side in ('width', 'height'))
            if not width or not height:
                width, height = image_size(path)
            instances = self._parse_instance_info(root, minus_one=True)
        except (AttributeError, TypeError, ValueError) as error:
            raise UserError(f'{img_info["xml_path"]} is not a VOC annotation ({error}): each object needs a name and a '
                            'bndbox of xmin, ymin, xmax, ymax') from None
        classes = self._metainfo['classes']
        self.other_classes.update(thing for thing in (entry.findtext('name') for entry in root.findall('object'))
                                  if thing not in classes)
        kept = []
        for instance in instances:
            box = self.clip(instance['bbox'], width, height)
            if box:
                kept.append(dict(instance, bbox=box))
        return dict(img_path=path, img_id=img_info['img_id'], xml_path=img_info['xml_path'], width=width,
                    height=height, instances=kept)
