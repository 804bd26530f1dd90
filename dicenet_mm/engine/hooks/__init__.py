"""Hooks of the training loop."""
from .crop_scale import CropScaleHook
from .curves import CurvesHook
from .ema import UpdateEMAHook
from .invalid_loss import InvalidLossHook
from .pictures import PicturesHook
from .plain_checkpoint import PlainCheckpointHook, WholeFileBackend
from .progress_bar import ProgressBarHook

__all__ = ['CropScaleHook', 'CurvesHook', 'InvalidLossHook', 'PicturesHook', 'PlainCheckpointHook', 'ProgressBarHook',
           'UpdateEMAHook', 'WholeFileBackend']
