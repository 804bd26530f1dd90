"""AP by hand."""
import pytest
import torch

from dicenet_mm.evaluation import PascalVOCMetric, PredictionDump, to_plain


def sample(truth, found, ignored=()):
    """Data sample of one image; ``truth`` holds (label, box), ``found`` (label, score, box)."""
    def instances(rows):
        return dict(labels=torch.tensor([row[0] for row in rows], dtype=torch.long),
                    bboxes=torch.tensor([row[-1] for row in rows], dtype=torch.float).view(-1, 4))
    return dict(gt_instances=instances(truth), ignored_instances=instances(ignored),
                pred_instances=dict(instances(found), scores=torch.tensor([float(row[1]) for row in found])))


A, B, FAR = [0, 0, 50, 50], [100, 100, 180, 160], [300, 300, 340, 340]


@pytest.mark.parametrize('dataset_type,expected', [
    # class 0: right, wrong, right -> precision 1 up to recall 1/2, then 2/3
    ('VOC2007', (6 * 1 + 5 * 2 / 3) / 11), (None, 0.5 * 1 + 0.5 * 2 / 3)])
def test_the_definition_goes_with_the_data_set(dataset_type, expected):
    metric = PascalVOCMetric()
    metric.dataset_meta = dict(classes=('cat', 'dog', 'bird'), dataset_type=dataset_type)
    metric.process({}, [sample([(0, A), (1, A)], [(0, 0.9, A), (0, 0.8, FAR), (1, 0.5, A)]),
                        sample([(0, B)], [(0, 0.7, B)])])
    got = metric.evaluate(2)
    assert got['pascal_voc/AP/cat'] == pytest.approx(expected, abs=1e-5)
    assert got['pascal_voc/AP/dog'] == pytest.approx(1)
    assert got['pascal_voc/mAP'] == pytest.approx((expected + 1) / 2, abs=1e-5)
    assert 'pascal_voc/AP/bird' not in got  # it does not occur


def test_difficult_objects_count_neither_way():
    metric = PascalVOCMetric()
    metric.dataset_meta = dict(classes=('cat', ))
    metric.process({}, [sample([(0, A)], [(0, 0.9, B), (0, 0.8, A)], ignored=[(0, B)]), sample([], [])])
    assert metric.evaluate(2)['pascal_voc/mAP'] == pytest.approx(1)


def test_predictions_as_plain_data():
    plain = to_plain(sample([], [(1, 0.25, A), (0, 0.5, B), (0, 0.1, FAR)]), ('cat', 'dog'), score_thr=0.2)
    assert plain == dict(detections=[dict(label='cat', score=0.5, bbox=[100, 100, 180, 160]),
                                     dict(label='dog', score=0.25, bbox=[0, 0, 50, 50])])


def test_dump(tmp_path):
    import json
    metric = PredictionDump(str(tmp_path / 'new/out.json'))
    metric.dataset_meta = dict(classes=('cat', ))
    metric.process({}, [dict(sample([], [(0, 0.5, A)]), img_path='a.jpg', ori_shape=(60, 80))])
    assert metric.evaluate(1) == {'predictions/images': 1}
    assert json.loads((tmp_path / 'new/out.json').read_text()) == [
        dict(image='a.jpg', width=80, height=60, detections=[dict(label='cat', score=0.5, bbox=[0, 0, 50, 50])])]
