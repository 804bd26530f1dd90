"""Hooks of the training loop."""
from .plain_checkpoint import PlainCheckpointHook, WholeFileBackend
from .progress_bar import ProgressBarHook

__all__ = ['PlainCheckpointHook', 'ProgressBarHook', 'WholeFileBackend']
