"""Data sets."""
from .digit_scenes import DigitScenesDataset

__all__ = ['DigitScenesDataset']
