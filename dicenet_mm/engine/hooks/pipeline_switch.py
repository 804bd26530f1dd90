"""Another augmentation for the last epochs, whatever the data sets are wrapped in."""
from mmdet.engine.hooks import PipelineSwitchHook
from mmengine.registry import HOOKS

from dicenet_mm.datasets.nested import innermost


@HOOKS.register_module()
class InnerPipelineSwitchHook(PipelineSwitchHook):
    """mmdet's hook, which sets the pipeline of the outermost data set: one that joins others has no use for it.

    Args:
        switch_epoch: The epoch, from 0, that is the first with the new pipeline.
        switch_pipeline: The transforms.
    """

    def before_train_epoch(self, runner) -> None:
        super().before_train_epoch(runner)
        if self._has_switched:
            dataset = runner.train_dataloader.dataset
            for part in innermost(dataset):
                part.pipeline = dataset.pipeline
