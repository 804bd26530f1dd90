"""Trained models as files for other engines."""
from .run import export
from .source import Source

__all__ = ['Source', 'export']
