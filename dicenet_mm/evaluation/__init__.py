"""Metrics, and predictions as plain data."""
from .classification import MultiLabelF1, TopAccuracy
from .coco import CocoDetectionMetric
from .pascal_voc import PascalVOCMetric
from .predictions import PredictionDump, to_plain
from .segmentation import MaskDump, MeanIoU, save_mask
from .tables import write_metrics

__all__ = ['CocoDetectionMetric', 'MaskDump', 'MeanIoU', 'MultiLabelF1', 'PascalVOCMetric', 'PredictionDump',
           'TopAccuracy', 'save_mask', 'to_plain', 'write_metrics']
