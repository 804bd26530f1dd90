"""Accuracy, precision, recall and F1 against scikit-learn and counts by hand."""
import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, precision_score, recall_score, top_k_accuracy_score

from dicenet_mm.evaluation import MultiLabelF1, TopAccuracy, to_plain
from dicenet_mm.evaluation.classification import best_labels


def measure(metric, samples, classes):
    metric.dataset_meta = dict(classes=[f'c{label}' for label in range(classes)])
    metric.process(None, samples)
    return metric.evaluate(len(samples))


def single(scores, truth):
    return [dict(pred_score=score, gt_label=torch.tensor([label])) for score, label in zip(scores, truth)]


def several(scores, truth):
    return [dict(pred_score=torch.tensor(score), gt_label=torch.tensor(np.flatnonzero(labels)))
            for score, labels in zip(scores, truth)]


def test_top_accuracy():
    rng = np.random.default_rng(0)
    scores, truth = torch.from_numpy(rng.random((200, 12))).softmax(1), rng.integers(0, 12, 200)
    got = measure(TopAccuracy(), single(scores, truth), 12)
    assert got['accuracy/top1'] == pytest.approx(100 * top_k_accuracy_score(truth, scores, k=1, labels=range(12)))
    assert got['accuracy/top5'] == pytest.approx(100 * top_k_accuracy_score(truth, scores, k=5, labels=range(12)))
    for label in range(12):
        right = [int(scores[i].argmax()) == label for i in np.flatnonzero(truth == label)]
        assert got[f'accuracy/top1/c{label}'] == pytest.approx(100 * np.mean(right))


def test_top_accuracy_of_few_and_of_many_classes():
    few = measure(TopAccuracy(), single(torch.eye(3), [0, 1, 1]), 3)
    assert few == {'accuracy/top1': pytest.approx(200 / 3), 'accuracy/top1/c0': 100., 'accuracy/top1/c1': 50.}
    many = measure(TopAccuracy(), single(torch.eye(1000)[:3], [0, 1, 5]), 1000)
    assert many.keys() == {'accuracy/top1', 'accuracy/top5'}


@pytest.mark.parametrize('seed', range(3))
def test_multi_label_f1(seed):
    rng = np.random.default_rng(seed)
    truth, scores = rng.random((60, 9)) < 0.3, rng.random((60, 9), dtype=np.float32)
    truth[:, 7], scores[:, 7] = False, scores[:, 7] * 0.4  # neither there nor found: not counted
    truth[:, 8] = False  # found, but not there: counts as 0
    got = measure(MultiLabelF1(), several(scores, truth), 9)
    found, counted = scores >= 0.5, list(range(7)) + [8]
    for name, function in (('precision', precision_score), ('recall', recall_score), ('f1', f1_score)):
        expected = function(truth, found, average='macro', labels=counted, zero_division=0)
        assert got[f'multi-label/class_{name}'] == pytest.approx(100 * expected, abs=1e-3)
        expected = function(truth, found, average='micro', zero_division=0)
        assert got[f'multi-label/overall_{name}'] == pytest.approx(100 * expected, abs=1e-3)
    expected = f1_score(truth, found, average=None, zero_division=0)
    assert [got[f'multi-label/f1/c{label}'] for label in counted] == pytest.approx(100 * expected[counted], abs=1e-3)
    assert 'multi-label/f1/c7' not in got


def test_class_wise_is_not_overall():
    """By hand: class 0 has 3 right of 4 found and 3 there, class 1 none of 1 there."""
    truth = np.array([[1, 0], [1, 0], [1, 1], [0, 0]], bool)
    scores = np.array([[.9, .1], [.9, .1], [.5, .49], [.6, .1]], np.float32)  # 0.5 itself counts as found
    got = measure(MultiLabelF1(), several(scores, truth), 2)
    first = 2 * 0.75 / 1.75
    assert got['multi-label/class_f1'] == pytest.approx(100 * first / 2, abs=1e-3)
    assert got['multi-label/overall_f1'] == pytest.approx(100 * 2 * 3 / (4 + 4), abs=1e-3)
    assert got['multi-label/overall_precision'] == got['multi-label/overall_recall'] == pytest.approx(75)


def test_plain_labels():
    sample = dict(pred_score=torch.tensor([0.2, 0.7, 0.4]))
    assert to_plain(sample, 'abc', 0.3) == dict(labels=[dict(label='b', score=0.7), dict(label='c', score=0.4)])
    assert to_plain(sample, 'abc', 0.8) == dict(labels=[])
    assert len(best_labels(torch.rand(1000))) == 20
