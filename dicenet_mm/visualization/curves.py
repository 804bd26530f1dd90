"""How trainings went, as curves."""
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

#: The values of a quantity at steps: where, and what.
Curve = tuple[np.ndarray, np.ndarray]
MANY = 200  # values, of which the mean is drawn thick


def draw_curves(path: str | Path, runs: Mapping[str, Mapping[str, Curve]], names: Sequence[str],
                axis: str = 'iteration', window: int = 50) -> None:
    """Draw a panel for each quantity, with a line for each training.

    Args:
        path: The picture.
        runs: Curves by the name of the training and of the quantity.
        names: The quantities.
        axis: What the steps are.
        window: Values that the thick line averages over, where a quantity has many.
    """
    figure = Figure(figsize=(4.5 * len(names), 3.2), layout='constrained')
    FigureCanvasAgg(figure)
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names):
        for index, (run, curves) in enumerate(runs.items()):
            if name not in curves:
                continue
            steps, values = curves[name]
            colour, label = f'C{index % 10}', run if len(runs) > 1 else None
            if len(values) >= MANY or name.endswith('loss'):
                axes.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
                axes.plot(steps, running_mean(values, window), color=colour,
                          label=label or f'mean of {window}')
            else:
                axes.plot(steps, values, color=colour, label=label, marker='.' if len(values) < 50 else None)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize='small')
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_title(name)
        axes.set_xlabel(axis)
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def running_mean(values: np.ndarray, window: int) -> np.ndarray:
    """The mean of each value and those before it, ``window`` at most."""
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - window)
    sums = np.concatenate(([0], np.cumsum(values)))
    return (sums[ends] - sums[starts]) / (ends - starts)
