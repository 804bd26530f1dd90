"""Random crops by the size of the model."""
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS
from mmpretrain.datasets import RandomResizedCrop

from dicenet_mm.analysis import complexity, image_shape
from dicenet_mm.datasets.nested import innermost


@HOOKS.register_module()
class CropScaleHook(Hook):
    """Sets the least share of an image that ``RandomResizedCrop`` takes in training (Section 5.1).

    Small models underfit, so they are given the larger crops. A hook does it since the width of a model can be set on
    the command line.

    Args:
        small: For models of fewer multiply-adds than ``limit``.
        large: For the others.
        limit: Multiply-adds of one image in the size of the test pipeline.
    """

    def __init__(self, small: float = 0.2, large: float = 0.08, limit: float = 80e6):
        self.small, self.large, self.limit = small, large, limit

    def before_train(self, runner) -> None:
        macs = complexity(runner.cfg, image_shape(runner.cfg))['total']['macs']
        least = self.small if macs < self.limit else self.large
        for dataset in innermost(runner.train_dataloader.dataset):
            for transform in dataset.pipeline.transforms:
                if isinstance(transform, RandomResizedCrop):
                    transform.crop_ratio_range = (least, 1.)
        print_log(f'random crops cover at least {least:.0%} of an image: the model has {macs / 1e6:.1f} M '
                  'multiply-adds', 'current')
