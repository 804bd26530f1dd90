"""Pictures that can be read, whatever the size of the image and wherever the boxes are."""
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.structures import InstanceData

from dicenet_mm.visualization import DetectionVisualizer


def draw(size, boxes, scores, labels=None):
    visualizer = DetectionVisualizer()
    visualizer.dataset_meta = dict(classes=('cat', 'dog'), palette=[(255, 0, 0), (0, 0, 255)])
    found = InstanceData(bboxes=torch.tensor(boxes).view(-1, 4).float(), scores=torch.tensor(scores),
                         labels=torch.tensor(labels or [0] * len(boxes), dtype=torch.long))
    image = np.full((*size, 3), 127, np.uint8)
    visualizer.add_datasample('', image, DetDataSample(pred_instances=found), draw_gt=False, pred_score_thr=0.3)
    return visualizer.get_image()


@pytest.mark.parametrize('size', [(60, 80), (480, 640), (3000, 2000)])
def test_line_and_letters_follow_the_size(size):
    height, width = size
    picture = draw(size, [[0.1 * width, 0.1 * height, 0.9 * width, 0.9 * height]], [0.9])
    scale = max(1, 640 / max(size))
    assert picture.shape == (round(height * scale), round(width * scale), 3)
    column = picture[:, picture.shape[1] // 2]
    red = (column == (255, 0, 0)).all(1).sum()
    assert red == 2 * max(2, round(max(picture.shape) / 400))  # the upper and the lower edge, in the class's colour


def test_weak_detections_are_left_out():
    assert (draw((640, 640), [[10, 10, 300, 300]], [0.2]) == 127).all()


@pytest.mark.parametrize('box', [[-50, -50, 900, 900], [630, 630, 700, 700], [10, 10, 10, 10], [700, 700, 800, 800]])
def test_boxes_outside_the_image(box):
    assert draw((640, 640), [box], [0.9]).shape == (640, 640, 3)


def test_the_best_is_on_top():
    picture = draw((640, 640), [[100, 100, 500, 500]] * 2, [0.9, 0.5], [1, 0])
    assert tuple(picture[300, 100]) == (0, 0, 255)


def test_truth_and_prediction_side_by_side():
    visualizer = DetectionVisualizer()
    visualizer.dataset_meta = dict(classes=('cat', ), palette=[(255, 0, 0)])
    truth = InstanceData(bboxes=HorizontalBoxes([[10., 10., 60., 60.]]), labels=torch.tensor([0]))
    found = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long), scores=torch.zeros(0))
    sample = DetDataSample(gt_instances=truth, pred_instances=found)
    visualizer.add_datasample('', np.full((640, 640, 3), 127, np.uint8), sample)
    picture = visualizer.get_image()
    assert picture.shape[0] > 640 and picture.shape[1] == 1280  # with a line of captions above
    picture = picture[-640:]
    assert (picture[:, :640] != 127).any() and (picture[:, 640:] == 127).all()


def test_one_object_is_drawn_as_its_best_class_only():
    """Two classes on one object, and a third box beside it."""
    boxes, scores = [[100, 100, 500, 500], [105, 100, 500, 500], [520, 100, 600, 500]], [0.9, 0.8, 0.7]
    picture = draw((640, 640), boxes, scores, [0, 1, 1])
    assert tuple(picture[300, 101]) == (255, 0, 0) and not (picture[300, 104:120] == (0, 0, 255)).all(1).any()
    assert (picture[300, 515:525] == (0, 0, 255)).all(1).any()


def test_truth_and_prediction_have_captions():
    visualizer = DetectionVisualizer()
    visualizer.dataset_meta = dict(classes=('cat', ), palette=[(255, 0, 0)])
    box = dict(bboxes=torch.tensor([[10., 10., 60., 60.]]), labels=torch.tensor([0]))
    sample = DetDataSample(gt_instances=InstanceData(**box), pred_instances=InstanceData(**box, scores=torch.ones(1)))
    image = np.full((640, 640, 3), 127, np.uint8)
    visualizer.add_datasample('', image, sample)
    both = visualizer.get_image()
    strip = both[:both.shape[0] - 640]
    assert strip.shape[0] > 10 and (strip[:, :640] != strip[:, 640:]).any()  # two different lines of text on white
    assert all((strip[:, side] == 255).mean() > 0.5 and (strip[:, side] == 0).any()
               for side in (slice(640), slice(640, None)))
    visualizer.add_datasample('', image, sample, draw_gt=False)
    assert visualizer.get_image().shape == (640, 640, 3)
