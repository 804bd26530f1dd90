"""Data sets."""
from .detection import CheckedCocoDataset, CheckedVOCDataset
from .digit_scenes import DigitScenesDataset, sample_images
from .images import ImageError, SkipsUnreadable, report_images
from .segmentation import CheckedSegDataset, CityscapesSegDataset, DigitScenesSegDataset, LoadMask, VOCSegDataset

__all__ = ['CheckedCocoDataset', 'CheckedSegDataset', 'CheckedVOCDataset', 'CityscapesSegDataset', 'DigitScenesDataset',
           'DigitScenesSegDataset', 'ImageError', 'LoadMask', 'SkipsUnreadable', 'VOCSegDataset', 'report_images',
           'sample_images']
