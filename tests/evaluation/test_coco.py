"""The metric against pycocotools on the same boxes as a file, and what it does where there is nothing."""
import contextlib
import io
import json

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from dicenet_mm.errors import UserError
from dicenet_mm.evaluation import CocoDetectionMetric, write_metrics

CLASSES = ('cat', 'dog', 'owl')
NAMES = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')


def sample(truth, found):
    """``truth`` holds (label, box, crowd, area) of an image, ``found`` (label, box, score)."""
    return dict(
        instances=[dict(bbox_label=label, bbox=box, ignore_flag=crowd, area=area) for label, box, crowd, area in truth],
        pred_instances=dict(labels=torch.tensor([row[0] for row in found], dtype=torch.long),
                            bboxes=torch.tensor([row[1] for row in found], dtype=torch.float).reshape(-1, 4),
                            scores=torch.tensor([float(row[2]) for row in found])))


def measure(samples, classes=CLASSES):
    metric = CocoDetectionMetric()
    metric.dataset_meta = dict(classes=classes)
    metric.process({}, samples)
    return metric.evaluate(len(samples))


def by_pycocotools(samples, path):
    """pycocotools' own way: files, with ids from 1."""
    def xywh(box):
        return [box[0], box[1], box[2] - box[0], box[3] - box[1]]
    truth = [dict(image_id=image, category_id=entry['bbox_label'] + 1, bbox=xywh(entry['bbox']), area=entry['area'],
                  iscrowd=entry['ignore_flag']) for image, s in enumerate(samples, 1) for entry in s['instances']]
    for number, entry in enumerate(truth, 1):
        entry['id'] = number
    found = [dict(image_id=image, category_id=label + 1, bbox=xywh(box), score=score)
             for image, s in enumerate(samples, 1) for label, box, score in zip(
                 *(s['pred_instances'][key].tolist() for key in ('labels', 'bboxes', 'scores')))]
    path.write_text(json.dumps(dict(images=[dict(id=image) for image in range(1, len(samples) + 1)], annotations=truth,
                                    categories=[dict(id=label + 1, name=name) for label, name in enumerate(CLASSES)])))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(path))
        evaluation = COCOeval(coco, coco.loadRes(found), 'bbox')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[:6]


def scenes(rng, images, objects, guesses):
    """Objects of two classes, some of them crowds, with found boxes near them and elsewhere."""
    out = []
    for _ in range(images):
        corners = rng.uniform(0, 400, (objects, 2))
        boxes = np.concatenate((corners, corners + rng.uniform(8, 200, (objects, 2))), 1)
        labels = rng.integers(0, 2, objects)
        crowds = rng.random(objects) < 0.1
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(1) * rng.uniform(0.3, 1, objects)
        near = rng.integers(0, objects, guesses)
        found = boxes[near] + rng.normal(0, 6, (guesses, 4))
        found[:, 2:] = found[:, 2:].clip(found[:, :2] + 1)
        out.append(sample(list(zip(labels.tolist(), boxes.tolist(), crowds.astype(int).tolist(), areas.tolist())),
                          list(zip(labels[near].tolist(), found.tolist(), rng.random(guesses).tolist()))))
    return out


def test_equals_pycocotools_beyond_a_hundred_detections(tmp_path):
    """mmdet's default limits of 100, 300 and 1000 give other figures here."""
    samples = scenes(np.random.default_rng(0), 4, 40, 300)
    got, expected = measure(samples), by_pycocotools(samples, tmp_path / 'a.json')
    assert [got[f'coco/bbox_{name}'] for name in NAMES] == pytest.approx(expected, abs=2e-6)
    assert 0.05 < got['coco/bbox_mAP'] < got['coco/bbox_mAP_50'] < 0.9
    assert (got['coco/cat_precision'] + got['coco/dog_precision']) / 2 == pytest.approx(expected[0], abs=2e-6)
    # the 200 weakest of each image are beyond the limit
    for s in samples:
        kept = torch.cat([label_kept(s, label) for label in (0, 1)])
        s['pred_instances'] = {key: value[kept] for key, value in s['pred_instances'].items()}
    assert measure(samples)['coco/bbox_mAP_50'] == got['coco/bbox_mAP_50']


def label_kept(s, label):
    """The hundred best of a class."""
    chosen = (s['pred_instances']['labels'] == label).nonzero().flatten()
    return chosen[s['pred_instances']['scores'][chosen].argsort(descending=True)[:100]]


def test_perfect_predictions_score_one():
    samples = scenes(np.random.default_rng(1), 6, 12, 1)
    for s in samples:
        boxes = [(entry['bbox_label'], entry['bbox'], 1) for entry in s['instances']]
        s['pred_instances'] = sample([], boxes)['pred_instances']
    got = measure(samples)
    assert [got[f'coco/bbox_{name}'] for name in NAMES] == [1] * 6
    assert got['coco/cat_precision'] == got['coco/dog_precision'] == 1 and np.isnan(got['coco/owl_precision'])


def test_without_a_detection_all_is_missed():
    got = measure([sample([(0, [0, 0, 50, 50], 0, 2500)], []), sample([], [])])
    assert got['coco/bbox_mAP'] == got['coco/bbox_mAP_50'] == got['coco/cat_precision'] == 0


def test_without_truth_nothing_is_known(tmp_path):
    got = measure([sample([(0, [0, 0, 50, 50], 1, 2500)], [(0, [0, 0, 50, 50], 0.9)])])  # a crowd
    assert all(np.isnan(value) for value in got.values())
    write_metrics(tmp_path / 'metrics.json', dict(got, other=1))

    def refuse(name):
        raise AssertionError(name)
    written = json.loads((tmp_path / 'metrics.json').read_text(), parse_constant=refuse)
    assert written == {**dict.fromkeys(got), 'other': 1}


def test_samples_need_their_truth():
    with pytest.raises(UserError, match='reads the truth from samples that carry it'):
        CocoDetectionMetric().process({}, [dict(pred_instances={})])
