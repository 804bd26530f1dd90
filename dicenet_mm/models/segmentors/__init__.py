"""Segmentors."""
from .espnetv2 import ESPNetv2Segmentor

__all__ = ['ESPNetv2Segmentor']
