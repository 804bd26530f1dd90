"""Metrics, and predictions as plain data."""
from .pascal_voc import PascalVOCMetric
from .predictions import PredictionDump, to_plain

__all__ = ['PascalVOCMetric', 'PredictionDump', 'to_plain']
