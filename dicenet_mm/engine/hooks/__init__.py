"""Hooks of the training loop."""
from .crop_scale import CropScaleHook
from .curves import CurvesHook
from .ema import UpdateEMAHook
from .invalid_loss import InvalidLossHook
from .pictures import PicturesHook
from .pipeline_switch import InnerPipelineSwitchHook
from .plain_checkpoint import PlainCheckpointHook, WholeFileBackend
from .progress_bar import ProgressBarHook

__all__ = ['CropScaleHook', 'CurvesHook', 'InnerPipelineSwitchHook', 'InvalidLossHook', 'PicturesHook',
           'PlainCheckpointHook', 'ProgressBarHook', 'UpdateEMAHook', 'WholeFileBackend']
