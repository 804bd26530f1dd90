"""Pictures of predictions."""
from .detection import DetectionVisualizer

__all__ = ['DetectionVisualizer']
