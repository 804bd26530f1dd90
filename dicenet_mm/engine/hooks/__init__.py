"""Hooks of the training loop."""
from .curves import CurvesHook
from .invalid_loss import InvalidLossHook
from .pictures import PicturesHook
from .plain_checkpoint import PlainCheckpointHook, WholeFileBackend
from .progress_bar import ProgressBarHook

__all__ = ['CurvesHook', 'InvalidLossHook', 'PicturesHook', 'PlainCheckpointHook', 'ProgressBarHook',
           'WholeFileBackend']
