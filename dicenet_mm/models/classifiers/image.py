"""Image classifiers whose width is one value (Section 5.1, Table IV)."""
import torch
from mmengine.registry import MODELS
from mmpretrain.models import ImageClassifier


@MODELS.register_module()
class Classifier(ImageClassifier):
    """mmpretrain's image classifier with a neck and a head that take their channels from the backbone.

    So one value, ``backbone.widen_factor``, sets the width of the whole classifier.

    Args:
        backbone: Any backbone with ``out_channels``, the channels of each of its outputs.
        neck: A neck with ``out_channels``; ``in_channels`` is not given.
        head: A head of mmpretrain, for one label or several, without ``in_channels``.
        **kwargs: As for mmpretrain's ``ImageClassifier``.
    """

    def __init__(self, backbone: dict, neck: dict, head: dict, **kwargs):
        with torch.device('meta'):
            neck = dict(neck, in_channels=MODELS.build(backbone).out_channels[-1])
            channels = MODELS.build(neck).out_channels
        super().__init__(backbone, neck, dict(head, in_channels=channels), **kwargs)
