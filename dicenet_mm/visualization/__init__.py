"""Pictures of predictions."""
from .backend import JsonVisBackend
from .detection import DetectionVisualizer
from .labels import LabelVisualizer
from .segmentation import SegmentationVisualizer

__all__ = ['DetectionVisualizer', 'JsonVisBackend', 'LabelVisualizer', 'SegmentationVisualizer']
