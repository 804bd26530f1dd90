"""Data sets."""
from .cifar import BGRCIFAR10
from .classification import ImageFolderDataset, ImageNetFolders
from .detection import CheckedCocoDataset, CheckedVOCDataset
from .digit_scenes import DigitScenesDataset, sample_images
from .digits import DigitsDataset
from .images import ImageError, SkipsUnreadable, report_images
from .multi_label import MultiLabelCocoDataset

__all__ = ['BGRCIFAR10', 'CheckedCocoDataset', 'CheckedVOCDataset', 'DigitScenesDataset', 'DigitsDataset', 'ImageError',
           'ImageFolderDataset', 'ImageNetFolders', 'MultiLabelCocoDataset', 'SkipsUnreadable', 'report_images',
           'sample_images']
