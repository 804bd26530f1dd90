"""Hooks of the training loop."""
from .crop_scale import CropScaleHook
from .curves import CurvesHook
from .ema import UpdateEMAHook
from .invalid_loss import InvalidLossHook
from .label_visualization import LabelVisualizationHook
from .plain_checkpoint import PlainCheckpointHook, WholeFileBackend
from .progress_bar import ProgressBarHook

__all__ = ['CropScaleHook', 'CurvesHook', 'InvalidLossHook', 'LabelVisualizationHook', 'PlainCheckpointHook',
           'ProgressBarHook', 'UpdateEMAHook', 'WholeFileBackend']
