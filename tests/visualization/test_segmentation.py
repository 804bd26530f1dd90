"""Overlays: opacity, palette, what stays as it is, and the legend."""
import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from dicenet_mm.visualization import SegmentationVisualizer

CLASSES = ('background', 'cat', 'dog')
PALETTE = [(0, 0, 0), (200, 0, 0), (0, 0, 100)]


def draw(mask, image, alpha=0.5, classes=CLASSES, **kwargs):
    visualizer = SegmentationVisualizer(alpha=alpha)
    visualizer.dataset_meta = dict(classes=classes, palette=PALETTE)
    sample = SegDataSample(pred_sem_seg=PixelData(data=torch.as_tensor(mask)[None]))
    visualizer.add_datasample('', image, sample, draw_gt=False, **kwargs)
    return visualizer.get_image()


@pytest.mark.parametrize('alpha', [0., 0.25, 1.])
def test_opacity(alpha):
    mask = np.zeros((700, 800), np.int64)
    mask[:, 200:400], mask[:, 400:600], mask[:, 600:] = 1, 2, 255
    image = np.full((700, 800, 3), 100, np.uint8)
    picture = draw(mask, image, alpha)
    for column, colour in ((100, None), (300, (200, 0, 0)), (500, (0, 0, 100)), (700, None)):
        expected = [100] * 3 if colour is None else [round(100 * (1 - alpha) + alpha * level) for level in colour]
        assert picture[350, column].tolist() == expected


def test_without_a_background_all_classes_are_drawn():
    picture = draw(np.zeros((700, 800), np.int64), np.full((700, 800, 3), 100, np.uint8), 1., ('road', 'cat', 'dog'))
    assert picture[350, 400].tolist() == [0, 0, 0]


def legend_colours(picture, width):
    panel = picture[:, width:].reshape(-1, 3)
    return {colour for colour in map(tuple, np.unique(panel, axis=0).tolist()) if colour in PALETTE[1:]}


def test_the_legend_has_the_classes_that_are_there():
    image = np.zeros((700, 800, 3), np.uint8)
    widths = set()
    for present in ([1], [2], [1, 2], []):
        mask = np.zeros((700, 800), np.int64)
        for label in present:
            mask[100 * label:100 * label + 50] = label
        picture = draw(mask, image)
        assert legend_colours(picture, 800) == {PALETTE[label] for label in present}
        widths.add(picture.shape)
    assert len(widths) == 1  # the frames of a video have one size


def test_small_pictures_are_enlarged_and_truth_stands_beside():
    visualizer = SegmentationVisualizer()
    visualizer.dataset_meta = dict(classes=CLASSES, palette=PALETTE)
    mask = PixelData(data=torch.ones(1, 16, 32, dtype=torch.long))
    drawn = {}
    visualizer.add_image = lambda name, picture, step: drawn.update({name: picture})
    image = np.zeros((16, 32, 3), np.uint8)
    visualizer.add_datasample('both', image, SegDataSample(pred_sem_seg=mask, gt_sem_seg=mask))
    one = draw(mask.data[0], image)
    assert one.shape[0] == 320 and one.shape[1] > 640
    assert drawn['both'].shape[0] > 320 and drawn['both'].shape[1] == 2 * one.shape[1]
    left, right = np.split(drawn['both'][-320:], 2, axis=1)  # below the captions
    assert (left == right).all()


def test_many_classes_fit():
    names = [f'class {index}' for index in range(150)]
    visualizer = SegmentationVisualizer()
    visualizer.dataset_meta = dict(classes=names, palette=[(index, 255 - index, 77) for index in range(150)])
    mask = torch.arange(150).repeat_interleave(10)[None].expand(200, -1)
    picture = visualizer._draw_sem_seg(np.zeros((200, 1500, 3), np.uint8), PixelData(data=mask[None]), names,
                                       visualizer.dataset_meta['palette'])
    assert picture.shape[0] == 200
