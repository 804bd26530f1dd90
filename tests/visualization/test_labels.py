"""Lists of labels on pictures of any size."""
import numpy as np
import pytest
import torch
from mmpretrain.structures import DataSample

from dicenet_mm.visualization import LabelVisualizer
from dicenet_mm.visualization.labels import PREDICTION, RIGHT, TRUTH


def draw(size, scores, truth=None, **kwargs):
    visualizer = LabelVisualizer()
    visualizer.dataset_meta = dict(classes=[f'class {label}' for label in range(len(scores))])
    sample = DataSample().set_pred_score(torch.tensor(scores))
    if truth is not None:
        sample.set_gt_label(truth)
    visualizer.add_datasample('', np.full((*size, 3), 200, np.uint8), sample, **kwargs)
    return visualizer.get_image()


def lines(picture):
    """The backgrounds in the left margin, from top to bottom, each once."""
    column = [tuple(map(int, pixel)) for pixel in picture[:, 1]]
    return [colour for above, colour in zip([None, *column], column) if colour != above and colour != (200, 200, 200)]


def test_a_line_for_each_label():
    assert lines(draw((480, 640), [0.1, 0.9, 0.5])) == [PREDICTION] * 2
    assert lines(draw((480, 640), [0.1, 0.9, 0.5], pred_score_thr=0.05)) == [PREDICTION] * 3


def test_right_labels_and_the_truth():
    assert lines(draw((480, 640), [0.1, 0.9, 0.5], truth=[0, 1])) == [RIGHT, PREDICTION, TRUTH]
    assert lines(draw((480, 640), [0.1, 0.9, 0.5], truth=[0, 1], draw_gt=False)) == [PREDICTION] * 2


def test_nothing_found_is_said():
    assert lines(draw((480, 640), [0.1, 0.2])) == [PREDICTION]


@pytest.mark.parametrize('size', [(8, 8), (60, 80), (20, 700), (3000, 2000)])
def test_any_size(size):
    picture = draw(size, [0.9] * 20)
    scale = max(1, 640 / max(size))
    assert picture.shape == (round(size[0] * scale), round(size[1] * scale), 3)
    assert lines(picture)


def test_more_labels_than_fit():
    shown = lines(draw((100, 640), [0.9] * 20))
    assert 2 <= len(shown) <= 5 and len(lines(draw((640, 640), [0.9] * 20))) == 20
