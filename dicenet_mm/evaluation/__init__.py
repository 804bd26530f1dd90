"""Metrics, and predictions as plain data."""
from .classification import MultiLabelF1, TopAccuracy
from .pascal_voc import PascalVOCMetric
from .predictions import PredictionDump, to_plain

__all__ = ['MultiLabelF1', 'PascalVOCMetric', 'PredictionDump', 'TopAccuracy', 'to_plain']
