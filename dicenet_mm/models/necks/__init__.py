"""Necks."""
from .classification import DiCENetNeck

__all__ = ['DiCENetNeck']
