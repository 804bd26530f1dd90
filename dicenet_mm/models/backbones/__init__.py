"""Backbones, registered in mmengine's root registry."""
from .dicenet import DiCENet
from .espnetv2 import ESPNetv2

__all__ = ['DiCENet', 'ESPNetv2']
