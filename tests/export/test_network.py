"""What is exported, against what the toolkits predict with the same model."""
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from dicenet_mm.errors import UserError
from dicenet_mm.export.graph import plain_graph, program
from dicenet_mm.export.network import exported_network
from dicenet_mm.layers import DiCEUnit, EfficientPyramidPool, UpsampleAdd
from tests.naive import randomised


def build(config, **options):
    cfg = Config.fromfile(f'configs/{config}.py')
    cfg.merge_from_dict(options)
    init_default_scope(cfg.default_scope)
    return randomised(MODELS.build(cfg.model))


@pytest.fixture(scope='module')
def detector():
    return build('ssd_dicenet_300_voc0712', **{'model.backbone.widen_factor': 0.1})


@pytest.mark.parametrize('limit', [1000, 7])
def test_detections_are_those_of_mmdet(detector, limit, monkeypatch):
    """With many candidates of every class, and where the limit of a level and of an image cut off most."""
    monkeypatch.setitem(detector.bbox_head.test_cfg, 'nms_pre', limit)
    monkeypatch.setitem(detector.test_cfg, 'nms_pre', limit)
    images = torch.randn(3, 3, 300, 300)
    samples = [DetDataSample(metainfo=dict(img_shape=(300, 300), ori_shape=(300, 300), scale_factor=(1., 1.)))
               for _ in images]
    with torch.no_grad():
        expected = detector.predict(images, samples)
        boxes, scores, labels = exported_network(detector, (300, 300))(images)
    assert boxes.shape == (3, min(200, 6 * limit), 4) and labels.dtype == torch.int32
    assert any(len(sample.pred_instances) > 20 for sample in expected)
    for sample, *found in zip(expected, boxes, scores, labels):
        want = sample.pred_instances
        there = found[2] >= 0
        assert there.sum() == len(want) and (found[1][~there] == 0).all()
        torch.testing.assert_close(found[1][there], want.scores, rtol=0, atol=1e-5)
        key = np.lexsort((found[0][there][:, 0], found[2][there]))
        other = np.lexsort((want.bboxes[:, 0], want.labels))
        torch.testing.assert_close(found[0][there][key], want.bboxes[other], rtol=0, atol=2e-3)
        assert (found[2][there][key] == want.labels[other]).all()


def test_an_image_without_detections(detector, monkeypatch):
    monkeypatch.setitem(detector.test_cfg, 'score_thr', 1.)
    with torch.no_grad():
        boxes, scores, labels = exported_network(detector, (300, 300))(torch.randn(2, 3, 300, 300))
    assert (boxes == 0).all() and (scores == 0).all() and (labels == -1).all()


def test_raw_detections_have_every_box(detector):
    network = exported_network(detector, (300, 300), raw=True)
    with torch.no_grad():
        boxes, scores = network(torch.randn(2, 3, 300, 300))
    assert boxes.shape == (2, 6 * (38 ** 2 + 19 ** 2 + 10 ** 2 + 5 ** 2 + 3 ** 2 + 1), 4)
    assert scores.shape == (*boxes.shape[:2], 20) and network.outputs == ('boxes', 'scores')


def test_labels_of_pixels_and_of_images():
    segmentor = build('espnetv2_dicenet_256_voc12aug', **{'model.backbone.widen_factor': 0.2})
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        metas = [dict(img_shape=(64, 96), ori_shape=(64, 96))] * 2
        expected = segmentor.inference(images, metas)
        assert (exported_network(segmentor, (64, 96))(images) == expected.argmax(1)).all()
        torch.testing.assert_close(exported_network(segmentor, (64, 96), raw=True)(images), expected)
    classifier = build('dicenet_digits')
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = torch.stack([sample.pred_score for sample in classifier.predict(images)])
        torch.testing.assert_close(exported_network(classifier, (64, 64))(images), expected)


def test_other_models_are_refused():
    with pytest.raises(UserError, match='Linear cannot be exported'):
        exported_network(nn.Linear(1, 1), (8, 8))


class Resizes(nn.Module):
    """Every kind of resize that the networks have, on sizes that do not divide."""

    def __init__(self):
        super().__init__()
        self.start = nn.Conv2d(3, 8, 3, padding=1)
        self.unit = randomised(DiCEUnit(8, 8, (7, 20)))
        self.pool = randomised(EfficientPyramidPool(8, 8, 8))
        self.add = randomised(UpsampleAdd(8))

    def forward(self, images):
        x = self.pool(self.unit(self.start(images)))
        return self.add(nn.functional.adaptive_avg_pool2d(x, (5, 9)), x)


def test_the_graph_is_the_network_in_ordinary_operators():
    network, images = Resizes().eval(), torch.randn(2, 3, 12, 17)
    graph = plain_graph(network, images)
    names = {str(node.target) for node in graph.graph.nodes if node.op == 'call_function'}
    assert not any('dicenet' in name or 'upsample' in name or 'shuffle' in name for name in names)
    pools = [node for node in graph.graph.nodes if 'adaptive' in str(node.target)]
    assert all(node.meta['val'].shape[2:] == (1, 1) for node in pools)
    exported = program(network, images).module()
    with torch.no_grad():
        for batch in (1, 2, 5):
            images = torch.randn(batch, 3, 12, 17)
            expected = network(images)
            torch.testing.assert_close(graph(images), expected, rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(exported(images), expected, rtol=1e-5, atol=1e-5)
