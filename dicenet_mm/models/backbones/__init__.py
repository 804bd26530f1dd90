"""Backbones, registered in mmengine's root registry."""
from .dicenet import DiCENet

__all__ = ['DiCENet']
