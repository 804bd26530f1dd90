"""Necks."""
from .classification import DiCENetNeck, PooledNeck
from .espnetv2_ssd import ESPNetv2SSDNeck

__all__ = ['DiCENetNeck', 'ESPNetv2SSDNeck', 'PooledNeck']
