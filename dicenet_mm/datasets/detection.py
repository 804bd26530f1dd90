"""Data sets of boxes, whose annotations are read and checked in one way whatever their layout is."""
import logging
import os
from collections import Counter
from dataclasses import replace

import numpy as np
from mmdet.datasets import BaseDetDataset, CocoDataset, VOCDataset
from mmengine.logging import print_log
from mmengine.registry import DATASETS

from dicenet_mm.errors import UserError

from .annotations import MAX_BOXES, MAX_DROPPED, Annotations, clean, tell_faults
from .coco import read_coco
from .files import head, read_json, read_lines
from .images import MAX_UNREADABLE, ImageError, SkipsUnreadable, image_size
from .voc import read_voc
from .yolo import read_yolo


class BoxDataset(SkipsUnreadable, BaseDetDataset):
    """Images with boxes. A subclass says how its annotations are read; all else is the same for every layout.

    Labels are told by the names of classes, whatever the order of the classes in the annotations. What is trained on
    and what is measured with is one set of boxes: samples for testing carry theirs as ``instances``, in px of the image
    as its file has it, each with ``bbox``, ``bbox_label``, ``ignore_flag`` and ``area``.

    Args:
        **kwargs: As for mmdet's ``BaseDetDataset``. In training ``filter_cfg=dict(filter_empty_gt=True, min_size=32)``
            leaves out images without boxes, and those with a shorter side in px.
    """

    #: Where images are, among ``data_prefix``.
    images = 'img'

    def read(self) -> Annotations:
        """The annotations, as they are."""
        raise NotImplementedError

    def load_data_list(self) -> list[dict]:
        """The images, each with ``img_path``, ``img_id``, ``width``, ``height`` and ``instances``.

        Raises:
            UserError: If the annotations cannot be used, or boxes are annotated, but none has a class of this data set.
        """
        found = self._of_classes(self._sized(self.read()))
        #: How many boxes had which fault, and how many have a class that is not among this data set's.
        found, self.box_faults = clean(found, training=not self.test_mode)
        order = np.argsort(found.image, kind='stable')
        ends = np.cumsum(np.bincount(found.image, minlength=len(found.names)))
        crowded = np.diff(ends, prepend=0) > MAX_BOXES
        if not self.test_mode and crowded.any():
            self._leave_out(found, crowded)
        data_list, first = [], 0
        for index, (name, last) in enumerate(zip(found.names, ends)):
            chosen, first = order[first:last], last
            if not self.test_mode and crowded[index]:
                continue
            columns = (array[chosen].tolist() for array in (found.boxes, found.label, found.ignored, found.area))
            width, height = found.sizes[index].tolist()
            data_list.append(dict(
                img_path=self.path(name), img_id=found.ids[index], width=width, height=height,
                instances=[dict(bbox=box, bbox_label=label, ignore_flag=int(ignored), area=area)
                           for box, label, ignored, area in zip(*columns)]))
        tell_faults(found.source, self.box_faults, self.other_classes)
        return data_list

    def path(self, name: str) -> str:
        """The path of an image by its name in the annotations."""
        return os.path.join(self.data_prefix.get(self.images) or '', name)

    def filter_data(self) -> list[dict]:
        """See :class:`SkipsUnreadable`; what ``filter_cfg`` leaves out of training."""
        chosen = self.filter_cfg or {}
        count = len(self.data_list)
        if not self.test_mode:
            self.data_list = [info for info in self.data_list
                              if min(info['width'], info['height']) >= chosen.get('min_size', 0)
                              and (self.labels(info) or not chosen.get('filter_empty_gt'))]
        self.images_left_out = count - len(self.data_list)
        return super().filter_data()

    @staticmethod
    def labels(info: dict) -> list[int]:
        """The label of each box of an image."""
        return [instance['bbox_label'] for instance in info['instances']]

    def prepare_data(self, idx: int) -> dict | None:
        """See :class:`SkipsUnreadable`."""
        sample = super().prepare_data(idx)
        if self.test_mode and 'data_samples' in sample:
            truth = self.get_data_info(idx).get('instances')
            samples = sample['data_samples']
            for packed in samples if isinstance(samples, list) else [samples]:  # several with test-time augmentation
                packed.set_metainfo(dict(instances=truth))
        return sample

    def _sized(self, found: Annotations) -> Annotations:
        """The same with the sizes of image files where none are noted."""
        found = replace(found, sizes=found.sizes.copy())  # what was read is kept for other data sets
        for index in np.flatnonzero((found.sizes <= 0).any(1)).tolist():
            try:
                found.sizes[index] = image_size(self.path(found.names[index]))
            except ImageError:
                if self.test_mode:
                    raise
                # Training will find it again, and skip it.
                boxes = found.boxes[(found.image == index) & np.isfinite(found.boxes).all(1), 2:]
                found.sizes[index] = np.ceil(boxes.max(0, initial=1)).clip(1, 2**31 - 1)
        return found

    def _of_classes(self, found: Annotations) -> Annotations:
        """The same with the labels of this data set, and only the boxes that have one."""
        classes = self.metainfo.get('classes') or ()
        label_of = {name: label for label, name in enumerate(classes)}
        labels = np.array([label_of.get(name, -1) for name in found.classes], np.int64)
        new = labels[found.label] if len(found.label) else found.label
        undefined = sum(found.unknown.values())
        if undefined > MAX_DROPPED * (undefined + len(new)):
            raise UserError(f'{undefined} of the {undefined + len(new)} boxes of {found.source} have classes that it '
                            f'does not define ({head(sorted(found.unknown))}): add these, or mend the boxes')
        self.other_classes = Counter(found.unknown)
        for label, count in zip(*np.unique(found.label[new < 0], return_counts=True)):
            self.other_classes[found.classes[label]] += int(count)
        if self.other_classes and not (new >= 0).any():
            raise UserError(f'no box in {found.source} has a class of this configuration: it has {head(classes)}, the '
                            f'annotations {head(sorted(self.other_classes))}. Use --data, which reads the class names, '
                            'or set metainfo.classes of the data set')
        out = found.kept(new >= 0)
        out.label = new[new >= 0]
        return out

    def _leave_out(self, found: Annotations, crowded: np.ndarray) -> None:
        names = [found.names[index] for index in np.flatnonzero(crowded)]
        said = f'{len(names)} images of {found.source} have more than {MAX_BOXES} boxes each ({head(names, 2)})'
        if len(names) > MAX_UNREADABLE * len(found.names):
            raise UserError(f'{said}, more than {MAX_UNREADABLE:.0%} of the images: cut these into pieces')
        print_log(f'{said}: they are left out', 'current', logging.WARNING)


@DATASETS.register_module()
class CheckedCocoDataset(BoxDataset):
    """COCO's layout: one JSON file, and a folder of images. Without other classes, they are COCO's 80.

    Args:
        subset: A list of file names, one a line, of which the data set consists; all images by default.
        **kwargs: As for :class:`BoxDataset`.
    """

    METAINFO = CocoDataset.METAINFO

    def __init__(self, *args, subset: str = '', **kwargs):
        self.subset = subset
        super().__init__(*args, **kwargs)

    def read(self) -> Annotations:
        found = read_coco(self.ann_file, truth=not self.test_mode)
        if self.subset:
            chosen = set(read_lines(self.subset))
            found = found.of_images([index for index, name in enumerate(found.names) if name in chosen])
        return found


@DATASETS.register_module()
class YOLODataset(BoxDataset):
    """YOLO's layout: a JSON file that ``--data`` makes, with the images, their label files and the class names.

    It holds ``{'images': [[image, label file], ...], 'names': [...], 'keypoints': bool}``, paths from ``data_root``.
    """

    def read(self) -> Annotations:
        found = read_json(self.ann_file)
        images = [[os.path.join(self.data_root, path) for path in pair] for pair in found['images']]
        return read_yolo(self.ann_file, images, found['names'], found['keypoints'], training=not self.test_mode)


@DATASETS.register_module()
class CheckedVOCDataset(BoxDataset):
    """VOC's layout: lists of names, an XML file for each, and a folder of images of any suffix.

    Without other classes, they are VOC's 20. Where ``VOC2007`` stands in the path, the metric is that of the year.

    Args:
        img_subdir: The folder of images in ``data_prefix.sub_data_root``.
        ann_subdir: That of XML files.
        **kwargs: As for :class:`BoxDataset`.
    """

    METAINFO = VOCDataset.METAINFO

    def __init__(self, *args, img_subdir: str = 'JPEGImages', ann_subdir: str = 'Annotations', **kwargs):
        self.img_subdir, self.ann_subdir = img_subdir, ann_subdir
        super().__init__(*args, **kwargs)
        self._metainfo['dataset_type'] = next((year for year in ('VOC2007', 'VOC2012') if year in self._root), None)

    @property
    def _root(self) -> str:
        return self.data_prefix.get('sub_data_root', '')

    def path(self, name: str) -> str:
        return os.path.join(self._root, self.img_subdir, name)

    def read(self) -> Annotations:
        xmls, images = (os.path.join(self._root, folder) for folder in (self.ann_subdir, self.img_subdir))
        found, self.xml_paths = read_voc(self.ann_file, xmls, images)
        return found
