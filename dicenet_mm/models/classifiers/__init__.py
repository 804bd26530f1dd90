"""Classifiers."""
from .image import Classifier

__all__ = ['Classifier']
