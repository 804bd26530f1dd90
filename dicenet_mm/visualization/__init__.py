"""Pictures of predictions."""
from .detection import DetectionVisualizer
from .labels import LabelVisualizer

__all__ = ['DetectionVisualizer', 'LabelVisualizer']
