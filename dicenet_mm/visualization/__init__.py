"""Pictures of predictions."""
from .detection import DetectionVisualizer
from .labels import LabelVisualizer
from .segmentation import SegmentationVisualizer

__all__ = ['DetectionVisualizer', 'LabelVisualizer', 'SegmentationVisualizer']
