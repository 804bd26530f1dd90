"""Necks."""
from .classification import DiCENetNeck, PooledNeck

__all__ = ['DiCENetNeck', 'PooledNeck']
