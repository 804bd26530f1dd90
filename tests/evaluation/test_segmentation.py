"""The metric against pixel-by-pixel counting, and masks as files."""
import numpy as np
import pytest
import torch
from PIL import Image

from dicenet_mm.evaluation import MaskDump, MeanIoU, save_mask, to_plain

CLASSES = ('background', 'cat', 'dog', 'owl')


def sample(predicted, truth=None, path='a.jpg'):
    out = dict(pred_sem_seg=dict(data=torch.as_tensor(predicted)[None]), img_path=path)
    return out if truth is None else dict(out, gt_sem_seg=dict(data=torch.as_tensor(truth)[None]))


def test_mean_iou():
    """Images of different sizes in one confusion matrix; 255 is ignored; no owl anywhere, so it does not count."""
    rng = np.random.default_rng(0)
    metric = MeanIoU()
    metric.dataset_meta = dict(classes=CLASSES)
    both = {label: 0 for label in range(4)}
    either, right, seen = dict(both), 0, 0
    for size in ((7, 9), (12, 4)):
        predicted, truth = rng.integers(0, 3, (2, *size))
        truth[rng.random(size) < 0.2] = 255
        metric.process({}, [sample(predicted, truth)])
        for p, t in zip(predicted.ravel(), truth.ravel()):
            if t == 255:
                continue
            seen += 1
            right += p == t
            for label in range(4):
                both[label] += p == t == label
                either[label] += label in (p, t)
    got = metric.compute_metrics(metric.results)
    ious = {CLASSES[label]: 100 * both[label] / either[label] for label in range(3)}
    assert next(iter(got)) == 'mIoU' and got['mIoU'] == pytest.approx(np.mean(list(ious.values())), abs=0.006)
    assert got['aAcc'] == pytest.approx(100 * right / seen, abs=0.006)
    assert {key: value for key, value in got.items() if key.startswith('IoU/')} == pytest.approx(
        {f'IoU/{name}': iou for name, iou in ious.items()}, abs=0.006)
    assert all(type(value) is float for value in got.values())  # for JSON


@pytest.mark.parametrize('last,mean', [(3, 50), (0, 100 * (2 / 3 + 1 / 2) / 2)])
def test_a_class_that_no_mask_shows_counts_as_in_published_figures(last, mean):
    """The owl: as 0 where it is found all the same, and not at all otherwise."""
    metric = MeanIoU()
    metric.dataset_meta = dict(classes=CLASSES)
    metric.process({}, [sample([[0, 0, 1, last]], [[0, 0, 1, 1]])])
    got = metric.compute_metrics(metric.results)
    assert got['mIoU'] == pytest.approx(mean, abs=0.006) and got.get('IoU/owl') == (0 if last == 3 else None)


def test_outputs_beyond_the_classes_are_wrong():
    """As the 20th output of the authors' Cityscapes networks."""
    metric = MeanIoU()
    metric.dataset_meta = dict(classes=CLASSES[:2])
    metric.process({}, [sample([[0, 1, 2, 1]], [[0, 1, 1, 1]])])
    got = metric.compute_metrics(metric.results)
    assert got['IoU/background'] == 100 and got['IoU/cat'] == pytest.approx(66.67)


def test_masks_as_files(tmp_path):
    masks = np.random.default_rng(1).integers(0, 4, (2, 5, 6))
    dump = MaskDump(str(tmp_path / 'new/masks'))
    dump.dataset_meta = dict(classes=CLASSES, palette=[(0, 0, 0), (1, 2, 3), (250, 0, 9), (4, 5, 6)])
    dump.process({}, [sample(mask, path=f'somewhere/{name}.jpeg') for mask, name in zip(masks, 'xy')])
    for mask, name in zip(masks, 'xy'):
        image = Image.open(tmp_path / f'new/masks/{name}.png')
        assert image.mode == 'P' and np.array_equal(np.asarray(image), mask)
        assert np.array_equal(np.asarray(image.convert('RGB')), np.array(dump.dataset_meta['palette'])[mask])
    assert dump.compute_metrics(dump.results) == dict(images=2)


def test_values_beyond_the_palette_are_kept(tmp_path):
    save_mask(np.array([[0, 1, 2, 200, 255]]), [(0, 0, 0), (9, 9, 9)], tmp_path / 'm.png')
    assert np.asarray(Image.open(tmp_path / 'm.png')).tolist() == [[0, 1, 2, 200, 255]]


def test_mask_without_a_palette(tmp_path):
    save_mask(np.array([[0, 200]]), None, tmp_path / 'm.png')
    assert Image.open(tmp_path / 'm.png').mode == 'L'


def test_plain():
    found = to_plain(sample([[0, 0, 2, 2, 2, 2, 2, 1]]), CLASSES)
    assert found == dict(segments=[dict(label='dog', share=0.625), dict(label='background', share=0.25),
                                   dict(label='cat', share=0.125)])
