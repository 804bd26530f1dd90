"""Pictures of predictions."""
from .detection import DetectionVisualizer
from .segmentation import SegmentationVisualizer

__all__ = ['DetectionVisualizer', 'SegmentationVisualizer']
