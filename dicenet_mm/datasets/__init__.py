"""Data sets."""
from .detection import CheckedCocoDataset, CheckedVOCDataset
from .digit_scenes import DigitScenesDataset, sample_images
from .images import ImageError, SkipsUnreadable, report_images

__all__ = ['CheckedCocoDataset', 'CheckedVOCDataset', 'DigitScenesDataset', 'ImageError', 'SkipsUnreadable',
           'report_images', 'sample_images']
