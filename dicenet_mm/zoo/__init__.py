"""Weights that others have trained, in the form of this toolkit."""
from .edgenets import edgenets_checkpoint

__all__ = ['edgenets_checkpoint']
