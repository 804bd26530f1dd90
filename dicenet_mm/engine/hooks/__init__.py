"""Hooks of the training loop."""
from .curves import CurvesHook
from .invalid_loss import InvalidLossHook
from .plain_checkpoint import PlainCheckpointHook, WholeFileBackend
from .progress_bar import ProgressBarHook

__all__ = ['CurvesHook', 'InvalidLossHook', 'PlainCheckpointHook', 'ProgressBarHook', 'WholeFileBackend']
