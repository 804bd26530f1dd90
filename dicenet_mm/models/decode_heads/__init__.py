"""Decode heads for segmentation."""
from .espnetv2_head import ESPNetv2Head

__all__ = ['ESPNetv2Head']
