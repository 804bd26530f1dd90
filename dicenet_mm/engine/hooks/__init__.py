"""Hooks of the training loop."""
from .crop_scale import CropScaleHook
from .curves import CurvesHook
from .ema import UpdateEMAHook
from .invalid_loss import InvalidLossHook
from .metrics_table import MetricsTableHook
from .pictures import PicturesHook
from .pipeline_switch import InnerPipelineSwitchHook
from .plain_checkpoint import PlainCheckpointHook
from .progress_bar import ProgressBarHook
from .split_batch import SplitBatchHook
from .stop import StopHook
from .whole_file import WholeFileBackend

__all__ = ['CropScaleHook', 'CurvesHook', 'InnerPipelineSwitchHook', 'InvalidLossHook', 'MetricsTableHook',
           'PicturesHook', 'PlainCheckpointHook', 'ProgressBarHook', 'SplitBatchHook', 'StopHook', 'UpdateEMAHook',
           'WholeFileBackend']
