"""RTM-DiCENet: its size, its geometry, training, prediction and inference form."""
import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from dicenet_mm import fuse
from dicenet_mm.analysis import complexity, image_shape
from tests.models.detectors import test_ssd
from tests.naive import randomised


def config(name='rtm_dicenet_320_voc0712', width=0.1, channels=16):
    cfg = Config.fromfile(f'configs/{name}.py')
    init_default_scope('mmdet')
    if width:
        cfg.model.backbone.widen_factor = width
        cfg.model.channels = channels
    return cfg


def batch(model, count, size=320):
    """Random images with one box each, boxes as tensors, as the data preprocessor gives them to the head."""
    inputs, samples = test_ssd.batch(model, count, size)
    for sample in samples:
        sample.gt_instances.bboxes = sample.gt_instances.bboxes.tensor
    return inputs, samples


# thousand million multiply-adds and million parameters with 80 classes, counted apart from this project's counter
@pytest.mark.parametrize('width,channels,macs_320,macs_416,parameters', [
    (1.0, 64, 0.261, 0.437, 0.89), (1.0, 96, 0.386, 0.647, 1.10), (1.5, 96, 0.531, 0.891, 1.93),
    (2.0, 96, 0.752, 1.262, 3.23), (2.4, 96, 0.885, 1.485, 4.02)])
def test_complexity(width, channels, macs_320, macs_416, parameters):
    for size, macs in ((320, macs_320), (416, macs_416)):
        cfg = config(f'rtm_dicenet_{size}_coco', width, channels)
        native = complexity(cfg, image_shape(cfg))['total']
        cfg.model.backbone.input_size = 224
        counts = complexity(cfg, image_shape(cfg))
        total = counts.pop('total')
        assert total['macs'] / 1e9 == pytest.approx(macs, abs=6e-4)
        assert total['parameters'] / 1e6 == pytest.approx(parameters, abs=6e-3)
        assert total['macs'] == sum(part['macs'] for part in counts.values())
        # kernels of the image's own size work on maps that are not made smaller for them
        assert total['macs'] < native['macs'] < 1.03 * total['macs']


def test_the_default_is_below_ssd():
    counts = []
    for name in ('rtm_dicenet_320_coco', 'ssd_dicenet_300_coco'):
        cfg = config(name, width=None)
        counts.append(complexity(cfg, image_shape(cfg))['total'])
    assert counts[0]['macs'] < counts[1]['macs'] and counts[0]['parameters'] < counts[1]['parameters']


@pytest.mark.parametrize('size', [320, 416])
def test_geometry(size):
    cfg = config(f'rtm_dicenet_{size}_coco')
    assert cfg.model.backbone.input_size == (size, size)
    model = MODELS.build(cfg.model).eval()
    scores, boxes = model(torch.zeros(1, 3, size, size), None, mode='tensor')
    sides = [size // 8, size // 16, size // 32]
    assert [tuple(level.shape[1:]) for level in scores] == [(80, side, side) for side in sides]
    assert [tuple(level.shape[1:]) for level in boxes] == [(4, side, side) for side in sides]


@pytest.mark.parametrize('width,channels', [(0.1, 16), (1.0, 64)])
def test_widths_are_two_values(width, channels):
    model = MODELS.build(config(width=width, channels=channels).model)
    mapper, _ = model.neck
    assert [conv.conv.in_channels for conv in mapper.convs] == list(model.backbone.out_channels)
    assert {conv.conv.out_channels for conv in mapper.convs} == {channels}
    assert {conv.in_channels for conv in model.bbox_head.rtm_cls} == {channels}


def test_learns_and_predicts():
    torch.manual_seed(0)
    model = MODELS.build(config().model)
    model.init_weights()
    inputs, samples = batch(model, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-2)
    losses = []
    for _ in range(32):
        loss = sum(sum(terms) for terms in model.loss(inputs, copy.deepcopy(samples)).values())
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None for p in model.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] < 5  # without init_weights, distances of random size make it 5e4
    # Targets are the overlaps that the predictions reach, so that the loss grows before it falls.
    assert losses[-1] < 0.5 * max(losses)
    found = model.eval().predict(inputs, samples)[0].pred_instances
    assert len(found) <= 100 and ((found.scores >= 0.001) & (found.scores <= 1)).all()
    assert (found.bboxes >= 0).all() and (found.bboxes <= 320).all() and (found.labels < 20).all()


def test_trains_on_one_image_and_on_none_annotated():
    model = MODELS.build(config().model)
    model.init_weights()
    inputs, samples = batch(model, 1)
    model.loss(inputs, copy.deepcopy(samples))
    samples[0].gt_instances = samples[0].gt_instances[:0]
    loss = sum(sum(terms) for terms in model.loss(inputs, samples).values())
    loss.backward()
    assert torch.isfinite(loss)


def test_refuses_to_share_depth_wise_layers():
    cfg = config().model
    cfg.bbox_head.share_conv = True
    with pytest.raises(ValueError, match='share_conv=False'):
        MODELS.build(cfg)
    cfg.bbox_head.use_depthwise = False
    MODELS.build(cfg)


def test_norm_eval_freezes_every_batch_normalisation():
    model = MODELS.build(dict(config().model, norm_eval=True))
    assert model.train() is model
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert norms and not any(module.training for module in norms) and model.training


@pytest.mark.parametrize('size', [320, 300])
def test_fused_copy_gives_the_same(size):
    """Also at a size that the kernels are not made for, and whose half and quarter are odd."""
    model = randomised(MODELS.build(config().model)).eval()
    x = torch.randn(2, 3, size, size)
    if size % 32:
        x = torch.nn.functional.pad(x, (0, -size % 32, 0, -size % 32))
    with torch.no_grad():
        for mine, other in zip(model(x, None, mode='tensor'), fuse(model)(x, None, mode='tensor')):
            for a, b in zip(mine, other):
                torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4 * a.abs().max().item())
