"""Classifiers: their size against the authors' counts, one value as width, learning, and the inference form."""
import json

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.structures import DataSample
from torch import nn

from dicenet_mm import fuse
from dicenet_mm.analysis import complexity, image_shape
from dicenet_mm.models.backbones.dicenet import WIDTHS


def config(name='dicenet_imagenet_e150_b512', width=None, **head):
    cfg = Config.fromfile(f'configs/{name}.py')
    init_default_scope('mmpretrain')
    if width:
        cfg.model.backbone.widen_factor = width
    cfg.model.head.update(head)
    return cfg


@pytest.mark.parametrize('width', WIDTHS)
def test_complexity_is_that_of_the_authors(shared, width):
    """The whole classifier for 1000 classes: multiply-adds and parameters, to 0.5 %."""
    reference = json.loads((shared / 'reference/complexity.json').read_text())['classification_224']['measured']
    counts = complexity(config(width=width), (224, 224))['total']
    macs, parameters = reference[str(width)]
    assert counts['macs'] / 1e6 == pytest.approx(macs, rel=5e-3)
    assert counts['parameters'] / 1e6 == pytest.approx(parameters, rel=5e-3)


@pytest.mark.parametrize('name,row', [('dicenet', 2), ('espnetv2', 1), ('shufflenetv2', 0)])
def test_rows_of_table_vii(shared, name, row):
    """The paper counts networks of 1000 classes."""
    _, parameters, macs, *_ = json.loads((shared / 'reference/complexity.json').read_text())['table_VII']['rows'][row]
    cfg = config(f'multilabel_{name}_coco', num_classes=1000)
    counts = complexity(cfg, image_shape(cfg))['total']
    assert counts['macs'] / 1e6 == pytest.approx(macs, rel=0.02)
    assert counts['parameters'] / 1e6 == pytest.approx(parameters, rel=0.02)


@pytest.mark.parametrize('width,last,dropout', [(0.1, 512, 0.1), (0.75, 1024, 0.1), (1.0, 1024, 0.1), (1.25, 1024, 0.2),
                                                (2.0, 1024, 0.2), (2.4, 1280, 0.2)])
def test_the_width_is_one_value(width, last, dropout):
    with torch.device('meta'):
        model = MODELS.build(config(width=width).model)
    assert model.head.fc.in_features == last
    assert [m.p for m in model.modules() if isinstance(m, nn.Dropout)] == [dropout]


def test_neck_is_a_mean_and_four_separate_maps():
    """Against plain matrix products in float64: no bias, normalisation or activation."""
    neck = MODELS.build(dict(type='DiCENetNeck', in_channels=64)).double().eval()
    x = torch.randn(2, 64, 3, 5, dtype=torch.float64)
    got, = neck((x, ))
    weight, = neck.parameters()
    expected = torch.zeros(2, 512, dtype=torch.float64)
    for group in range(4):
        rows, columns = slice(128 * group, 128 * (group + 1)), slice(16 * group, 16 * (group + 1))
        expected[:, rows] = x[:, columns].mean((2, 3)) @ weight[rows, :, 0, 0].t()
    torch.testing.assert_close(got, expected)


def test_convolutions_start_from_kaiming_normal_fan_out():
    torch.manual_seed(0)
    model = MODELS.build(config(width=2.0).model)
    model.init_weights()
    conv = model.neck.layers[1]
    assert conv.weight.std().item() == pytest.approx((2 / conv.out_channels)**0.5, rel=0.02)
    assert model.head.fc.weight.std().item() == pytest.approx(0.01, rel=0.02)


def batch(several):
    """Images (8, 3, 64, 64) of four colours, with labels that the colours tell."""
    colours = torch.randn(4, 3, 1, 1)
    labels = [index % 4 for index in range(8)]
    images = torch.stack([colours[label] + 0.3 * torch.randn(3, 64, 64) for label in labels])
    truth = [[label, (label + 1) % 4] if label else [] for label in labels] if several else labels
    return images, [DataSample().set_gt_label(value) for value in truth]


@pytest.mark.parametrize('name', ['dicenet_imagenet_e150_b512', 'dicenet_imagenet_e300_b2048',
                                  'multilabel_dicenet_coco'])
def test_learns_and_predicts(name):
    torch.manual_seed(0)
    model = MODELS.build(config(name, width=0.1, num_classes=4).model)
    model.init_weights()
    several = name.startswith('multilabel')
    images, samples = batch(several)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for _ in range(30):
        loss = model.loss(images, samples)['loss']
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None for p in model.parameters())
        optimizer.step()
    # batch normalisation over a few steps: look at the outputs in training mode
    with torch.no_grad():
        scores = model(images)
    for sample, score in zip(samples, scores):
        found = (score > 0).nonzero().flatten() if several else score.argmax()[None]
        assert found.tolist() == sorted(sample.gt_label.tolist())
    predicted = model.eval().predict(images, samples)[0].pred_score
    assert predicted.shape == (4, ) and ((predicted >= 0) & (predicted <= 1)).all()


def test_losses():
    """Cross entropy, its smoothed form, and binary cross entropy summed over the classes, in closed form."""
    torch.manual_seed(0)
    images, samples = batch(False)
    logits = torch.randn(8, 4, dtype=torch.float64)
    truth = nn.functional.one_hot(torch.tensor([int(sample.gt_label) for sample in samples]), 4).double()
    log_p = logits - logits.exp().sum(1, keepdim=True).log()
    p = 1 / (1 + (-logits).exp())
    expected = dict(
        dicenet_imagenet_e150_b512=-(truth * log_p).sum(1).mean(),
        dicenet_imagenet_e300_b2048=-((0.9 * truth + 0.1 / 4) * log_p).sum(1).mean(),
        multilabel_dicenet_coco=-(truth * p.log() + (1 - truth) * (1 - p).log()).sum(1).mean())
    for name, value in expected.items():
        head = MODELS.build(dict(config(name, num_classes=4).model.head, in_channels=8))
        torch.testing.assert_close(head._get_loss(logits, samples)['loss'].double(), value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('name', ['dicenet_imagenet_e150_b512', 'multilabel_espnetv2_coco',
                                  'multilabel_shufflenetv2_coco'])
def test_fused_copy_gives_the_same(name):
    torch.manual_seed(0)
    width = dict(dicenet_imagenet_e150_b512=0.5, multilabel_espnetv2_coco=0.5).get(name)
    model = MODELS.build(config(name, width).model)
    model.init_weights()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.running_mean, std=0.1)
    model.eval()
    x = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        expected, got = model(x), fuse(model)(x)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())
