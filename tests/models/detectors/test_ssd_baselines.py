"""SSD on the other backbones of Table VI: each trains a step, and is the same when it is fused."""
import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from dicenet_mm import fuse
from dicenet_mm.models.detectors.channels import backbone_channels
from tests.models.detectors.test_ssd import batch

CHANNELS = dict(mobilenet=(256, 512, 1024), mobilenetv2=(32, 96, 1280), mobilenetv3=(40, 112, 960),
                shufflenetv2=(176, 352, 704), mnasnet=(40, 112, 320), mixnet=(40, 120, 200), vgg=(512, 1024))


def config(name):
    size = 300 if name == 'vgg' else 320
    cfg = Config.fromfile(f'configs/baselines/ssd_{name}_{size}_voc0712.py')
    init_default_scope('mmdet')
    return cfg


@pytest.mark.parametrize('name', CHANNELS)
def test_trains_and_fuses(name):
    cfg = config(name)
    assert backbone_channels(cfg.model.backbone) == CHANNELS[name]
    model = MODELS.build(cfg.model)
    model.init_weights()
    model.train()
    size = 300 if name == 'vgg' else 320
    inputs, samples = batch(model, 1 if name == 'vgg' else 2, size)  # VGG has no normalisation
    loss = sum(value for terms in model.loss(inputs, copy.deepcopy(samples)).values() for value in terms)
    loss.backward()
    assert loss.isfinite() and all(p.grad is not None for p in model.bbox_head.parameters())
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.backbone.parameters())
    model.eval()
    with torch.no_grad():
        expected, found = (network(inputs[:1], None, mode='tensor') for network in (model, fuse(model)))
    for mine, other in zip(expected, found):
        for a, b in zip(mine, other):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4 * a.abs().max().item())
    assert len(model.predict(inputs, samples)[0].pred_instances) <= 200
