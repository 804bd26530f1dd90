"""Data sets."""
from .cifar import BGRCIFAR10
from .classification import ImageFolderDataset, ImageNetFolders
from .detection import BoxDataset, CheckedCocoDataset, CheckedVOCDataset, YOLODataset
from .digit_scenes import DigitScenesDataset, sample_images
from .digits import DigitsDataset
from .images import ImageError, SkipsUnreadable, report_images
from .multi_label import MultiLabelCocoDataset
from .photographs import sample_photographs
from .segmentation import CheckedSegDataset, CityscapesSegDataset, DigitScenesSegDataset, LoadMask, VOCSegDataset

__all__ = ['BGRCIFAR10', 'BoxDataset', 'CheckedCocoDataset', 'CheckedSegDataset', 'CheckedVOCDataset',
           'CityscapesSegDataset', 'DigitScenesDataset', 'DigitScenesSegDataset', 'DigitsDataset', 'ImageError',
           'ImageFolderDataset', 'ImageNetFolders', 'LoadMask', 'MultiLabelCocoDataset', 'SkipsUnreadable',
           'VOCSegDataset', 'YOLODataset', 'report_images', 'sample_images',
           'sample_photographs']
