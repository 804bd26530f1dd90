"""Figures of what a test has measured."""
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.metrics import ConfusionMatrixDisplay

from .text import class_colours

LEGEND = 30  # classes that fit beside a figure
VALUES = 30  # classes whose numbers fit into a matrix


def draw_precision_recall(path: str | Path, recalls: np.ndarray, precisions: np.ndarray,
                          classes: Sequence[str]) -> None:
    """Draw a curve for each class that occurs, and their mean.

    Args:
        path: The picture.
        recalls: (R,) from 0 to 1.
        precisions: (R, K), from 0 to 1, NaN for a class that does not occur.
        classes: K names.
    """
    figure = Figure(figsize=(8.5, 5.5), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    there = [label for label in range(len(classes)) if not np.isnan(precisions[:, label]).any()]
    there.sort(key=lambda label: -precisions[:, label].mean())
    for label in there:
        axes.plot(recalls, precisions[:, label], linewidth=1,
                  color=np.array(class_colours(len(classes))[label]) / 255,
                  label=f'{classes[label]} {precisions[:, label].mean():.3f}' if len(there) <= LEGEND else None)
    if there:
        mean = precisions[:, there].mean(1)
        axes.plot(recalls, mean, color='black', linewidth=2.5, label=f'mean {mean.mean():.3f}')
        axes.legend(frameon=False, fontsize='small', loc='upper left', bbox_to_anchor=(1, 1),
                    title='average precision')
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel='recall', ylabel='precision',
             title='precision and recall at IoU 0.5')
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def draw_confusion(path: str | Path, matrix: np.ndarray, classes: Sequence[str], note: str = '') -> None:
    """Draw a confusion matrix, with the colours of the share of each row and numbers as they are.

    Args:
        path: The picture.
        matrix: (K, K) counts; rows are the truth, columns what was predicted.
        classes: K names.
        note: What stands above.
    """
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    side = 3 + 0.42 * len(classes)
    figure = Figure(figsize=(side + 1, side), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    ConfusionMatrixDisplay(shares, display_labels=classes).plot(
        ax=axes, cmap='Blues', include_values=False, xticks_rotation='vertical', im_kw=dict(vmin=0, vmax=1))
    if len(classes) <= VALUES:
        for row, column in zip(*np.nonzero(matrix)):
            axes.text(column, row, f'{matrix[row, column]:.0f}' if matrix[row, column] < 1e5 else
                      f'{matrix[row, column]:.0e}', ha='center', va='center', fontsize=7,
                      color='white' if shares[row, column] > 0.5 else 'black')
    axes.set(xlabel='predicted', ylabel='truth', title=note)
    figure.savefig(path, dpi=110)
