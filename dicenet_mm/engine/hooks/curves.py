"""A picture of how a training went."""
from pathlib import Path

import numpy as np
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from dicenet_mm.visualization.curves import draw_curves


@HOOKS.register_module()
class CurvesHook(Hook):
    """Draws loss, learning rate and the main metric into ``curves.png`` of the work directory, after every epoch.

    Args:
        window: Iterations that the thick line of the loss averages over.
    """

    priority = 'LOWEST'  # after all that writes the scalars

    def __init__(self, window: int = 50):
        self.window = window

    def after_val_epoch(self, runner, metrics=None) -> None:
        self._draw(runner)

    def after_train_epoch(self, runner) -> None:
        self._draw(runner)

    @master_only
    def _draw(self, runner) -> None:
        scalars = {name: buffer.data[0] for name, buffer in runner.message_hub.log_scalars.items()}
        measured = [name for name in scalars if name.startswith('val/') and 'time' not in name]
        # the main metric before those of single classes
        measured.sort(key=lambda name: not any(main in name for main in ('mAP', 'mIoU', 'class_f1')))
        panels = [name for name in ('train/loss', 'train/lr', *measured[:1]) if len(scalars.get(name, ()))]
        if panels:
            curves = {name: (np.arange(1, len(scalars[name]) + 1), scalars[name]) for name in panels}
            draw_curves(Path(runner.work_dir, 'curves.png'), {'': curves}, panels, 'iteration or evaluation',
                        self.window)
