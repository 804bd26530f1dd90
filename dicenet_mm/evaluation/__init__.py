"""Metrics, and predictions as plain data."""
from .pascal_voc import PascalVOCMetric
from .predictions import PredictionDump, to_plain
from .segmentation import MaskDump, MeanIoU, save_mask

__all__ = ['MaskDump', 'MeanIoU', 'PascalVOCMetric', 'PredictionDump', 'save_mask', 'to_plain']
