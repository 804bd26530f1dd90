"""Detectors."""
from .rtm_dicenet import RTMDiCENet
from .ssd import SSD

__all__ = ['RTMDiCENet', 'SSD']
