"""DiCENet-SSD: its size against Table VI, its geometry, training and prediction."""
import copy
import json

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import InstanceData

from dicenet_mm import fuse
from dicenet_mm.analysis import complexity, image_shape

NAMES = [f'ssd_dicenet_{size}_{data}' for size in (300, 512) for data in ('voc0712', 'coco')]


def config(name='ssd_dicenet_300_voc0712', width=0.1):
    cfg = Config.fromfile(f'configs/{name}.py')
    init_default_scope('mmdet')
    if width:
        cfg.model.backbone.widen_factor = width
    return cfg


def batch(model, count, size=300):
    """Random images with one box each, as the data preprocessor gives them."""
    from mmdet.structures import DetDataSample
    from mmdet.structures.bbox import HorizontalBoxes
    samples = []
    for index in range(count):
        shapes = ('img_shape', 'ori_shape', 'batch_input_shape', 'pad_shape')
        meta = dict(dict.fromkeys(shapes, (size, size)), scale_factor=(1., 1.))
        truth = InstanceData(bboxes=HorizontalBoxes([[20. + index, 30., 150., 200.]]), labels=torch.tensor([index % 3]))
        samples.append(DetDataSample(metainfo=meta, gt_instances=truth))
        samples[-1].ignored_instances = InstanceData(bboxes=HorizontalBoxes(torch.zeros(0, 4)), labels=torch.zeros(0))
    return torch.randn(count, 3, size, size), samples


@pytest.mark.parametrize('name', NAMES)
def test_complexity_is_that_of_table_vi(shared, name):
    table = json.loads((shared / 'reference/complexity.json').read_text())['table_VI']
    cfg = config(name, width=None)
    size = int(name.split('_')[2])
    row = next(row for row in table['rows'] if row[:2] == ['DiCENet', size])
    published = row[2] if 'voc' in name else row[4]  # thousand million multiply-adds
    counts = complexity(cfg, image_shape(cfg))
    assert counts['total']['macs'] / 1e9 == pytest.approx(published, rel=0.1)
    if 'coco' in name:
        assert counts['total']['parameters'] / 1e6 == pytest.approx(5, abs=0.7)
    assert counts['total']['macs'] == sum(part['macs'] for key, part in counts.items() if key != 'total')


@pytest.mark.parametrize('name,sides', [('ssd_dicenet_300_coco', (38, 19, 10, 5, 3, 1)),
                                        ('ssd_dicenet_512_coco', (64, 32, 16, 8, 4, 1))])
def test_geometry(name, sides):
    """Section 5.2: boxes of six shapes a place, sides evenly spaced from 0.1 to 1.05 of the image."""
    cfg = config(name)
    size = cfg.image_size
    model = MODELS.build(cfg.model).eval()
    scores, boxes = model(torch.zeros(1, 3, size, size), None, mode='tensor')
    assert [tuple(map.shape[1:]) for map in scores] == [(6 * 81, side, side) for side in sides]
    assert [tuple(map.shape[1:]) for map in boxes] == [(6 * 4, side, side) for side in sides]
    for level, anchors in enumerate(model.bbox_head.prior_generator.base_anchors):
        width, height = (anchors[:, 2:] - anchors[:, :2]).unbind(1)
        low, high = (size * (0.1 + 0.95 * (level + step) / 6) for step in (0, 1))
        expected = torch.tensor([low**2, low * high, *[low**2] * 4])
        torch.testing.assert_close(width * height, expected, rtol=1e-4, atol=0.1)
        ratios = (height / width).sort().values
        torch.testing.assert_close(ratios, torch.tensor([1 / 3, 1 / 2, 1, 1, 2, 3]), rtol=1e-4, atol=1e-4)
    assert model.bbox_head.bbox_coder.stds == [0.1, 0.1, 0.2, 0.2]


@pytest.mark.parametrize('width', [0.1, 1.0])
def test_the_width_is_one_value(width):
    model = MODELS.build(config(width=width).model)
    channels = model.backbone.out_channels
    assert [convs[0].in_channels for convs in model.bbox_head.cls_convs] == [*channels, 512, 256, 256]


def test_learns_and_predicts():
    torch.manual_seed(0)
    model = MODELS.build(config().model)
    model.init_weights()
    inputs, samples = batch(model, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    losses = []
    for _ in range(16):
        loss = sum(value for terms in model.loss(inputs, copy.deepcopy(samples)).values() for value in terms)
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None for p in model.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    found = model.eval().predict(inputs, samples)[0].pred_instances
    assert len(found) <= 200 and ((found.scores >= 0.02) & (found.scores <= 1)).all()
    assert (found.bboxes >= 0).all() and (found.bboxes <= 300).all() and (found.labels < 20).all()


def test_refuses_a_batch_of_one():
    model = MODELS.build(config().model)
    with pytest.raises(ValueError, match='batch of one image'):
        model.loss(*batch(model, 1))


def test_second_stage_freezes_every_batch_normalisation():
    model = MODELS.build(config('ssd_dicenet_512_voc0712').model)
    assert model.train() is model
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms and not any(m.training for m in norms) and model.training
    model.loss(*batch(model, 1, size=512))  # one image is enough then


def test_fused_copy_gives_the_same():
    model = MODELS.build(config().model)
    model.init_weights()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.running_mean, std=0.1)
    model.eval()
    x = torch.randn(2, 3, 300, 300)
    with torch.no_grad():
        for mine, other in zip(model(x, None, mode='tensor'), fuse(model)(x, None, mode='tensor')):
            for a, b in zip(mine, other):
                torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4 * a.abs().max().item())
