"""Metrics, and predictions as plain data."""
from .classification import MultiLabelF1, TopAccuracy
from .pascal_voc import PascalVOCMetric
from .predictions import PredictionDump, to_plain
from .segmentation import MaskDump, MeanIoU, save_mask

__all__ = ['MaskDump', 'MeanIoU', 'MultiLabelF1', 'PascalVOCMetric', 'PredictionDump', 'TopAccuracy', 'save_mask',
           'to_plain']
