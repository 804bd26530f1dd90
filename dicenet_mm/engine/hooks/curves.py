"""A picture of how a training went."""
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.registry import HOOKS


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
        if not panels:
            return
        figure = Figure(figsize=(4.5 * len(panels), 3.2), layout='constrained')
        FigureCanvasAgg(figure)
        for axes, name in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels):
            values = scalars[name]
            if name == 'train/loss':
                axes.plot(values, color='0.8', linewidth=0.8)
                ends = np.arange(1, len(values) + 1)
                starts = np.maximum(0, ends - self.window)
                sums = np.concatenate(([0], values.cumsum()))
                axes.plot((sums[ends] - sums[starts]) / (ends - starts), label=f'mean of {self.window}')
                axes.legend(frameon=False)
            else:
                axes.plot(range(1, len(values) + 1), values, marker='.' if len(values) < 50 else None)
            axes.set_title(name)
            axes.set_xlabel('evaluation' if name.startswith('val/') else 'iteration')
            axes.grid(alpha=0.3)
        figure.savefig(Path(runner.work_dir, 'curves.png'), dpi=110)
