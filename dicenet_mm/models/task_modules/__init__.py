"""What detection heads are told by name: priors."""
from .anchors import ClippedSSDAnchorGenerator

__all__ = ['ClippedSSDAnchorGenerator']
