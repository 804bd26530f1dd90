"""The segmentation networks: complexity, any size, frozen statistics, and both ways to bring labels to an image."""
import json

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS, init_default_scope
from mmseg.models.losses import CrossEntropyLoss
from mmseg.structures import SegDataSample
from PIL import Image
from torch import nn

from dicenet_mm.models.decode_heads import ESPNetv2Head
from dicenet_mm.models.segmentors import ESPNetv2Segmentor
from tests.complexity import complexity


def make(backbone='DiCENet', width=0.2, classes=21, **kwargs):
    return ESPNetv2Segmentor(dict(type=backbone, widen_factor=width, out_indices=(0, 1, 2, 3)),
                             dict(type='ESPNetv2Head', num_classes=classes), **kwargs)


@pytest.mark.parametrize('backbone,key,source', [('DiCENet', 'segmentation_voc21', 'measured'),
                                                 ('ESPNetv2', 'segmentation_espnetv2_voc21', 'authors')])
def test_complexity(shared, backbone, key, source):
    file = json.loads((shared / 'reference/complexity.json').read_text())[key][source]
    assert len(file) >= 4
    for width, expected in file.items():
        with torch.device('meta'):
            model = make(backbone, float(width)).eval()
        model.forward = lambda x, run=model.forward: run(x, None, mode='tensor')
        for size in (256, 384):
            macs, parameters = complexity(model, size)
            bias = 0.5 * 21 * (size // 2) ** 2 / 1e6  # half a multiply-add for each output of the biased convolution
            assert macs + bias == pytest.approx(expected[str(size)], rel=5e-3)
        assert parameters == pytest.approx(expected['params'], rel=5e-3, abs=5e-3)  # ESPNetv2's have two digits


@pytest.mark.parametrize('backbone,width', [('DiCENet', 0.1), ('ESPNetv2', 0.5)])
@pytest.mark.parametrize('size', [(64, 64), (33, 71), (100, 37)])
def test_any_size(backbone, width, size):
    model = make(backbone, width, classes=5)
    out = model(torch.rand(2, 3, *size), None, mode='tensor')
    assert out.shape == (2, 5, *((side + 1) // 2 for side in size))
    out.sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_few_classes_leave_the_pyramid_pool_some_channels():
    pools = make(classes=2).decode_head.pools
    assert [pool.project[0].out_channels for pool in pools] == [4, 4, 4, 4]
    assert [pool.project[0].out_channels for pool in make(classes=21).decode_head.pools] == [10, 10, 10, 10]
    assert [pool.project[0].out_channels for pool in make(classes=150).decode_head.pools] == [16, 16, 16, 16]


def test_norm_eval_freezes_the_decoder_too():
    model = make(norm_eval=True).train()
    assert model.training and not any(m.training for m in model.modules() if isinstance(m, nn.BatchNorm2d))
    assert any(m.training for m in make().train().modules() if isinstance(m, nn.BatchNorm2d))


def test_is_built_in_the_scope_of_mmseg():
    init_default_scope('mmseg')
    model = MODELS.build(dict(type='ESPNetv2Segmentor', backbone=dict(type='ESPNetv2', out_indices=(0, 1, 2, 3)),
                              decode_head=dict(type='ESPNetv2Head', num_classes=4)))
    assert model.decode_head.in_channels == (32, 64, 128, 256)


def sample(ori_shape, img_shape, **meta):
    return SegDataSample(metainfo=dict(ori_shape=ori_shape, img_shape=img_shape, **meta))


@pytest.mark.parametrize('size', [(24, 40), (47, 31), (160, 90)])
def test_labels_resized_as_the_authors_do(size):
    """Classes at the network's size, then Pillow's nearest neighbour."""
    model = make(classes=7, test_cfg=dict(mode='whole', resize_labels=True)).eval()
    logits = torch.randn(2, 7, 32, 48)
    found = model.postprocess_result(logits, [sample(size, (32, 48)) for _ in range(2)])
    for result, scores in zip(found, logits):
        labels = Image.fromarray(scores.argmax(0).numpy().astype(np.uint8))
        expected = np.asarray(labels.resize(size[::-1], Image.Resampling.NEAREST))
        assert np.array_equal(result.pred_sem_seg.data[0].numpy(), expected)
        assert result.seg_logits.shape == size and result.ori_shape == size


def test_labels_resized_after_padding_and_flip():
    model = make(classes=7, test_cfg=dict(mode='whole', resize_labels=True)).eval()
    logits = torch.randn(1, 7, 32, 48)
    found, = model.postprocess_result(
        logits, [sample((60, 80), (30, 40), img_padding_size=[0, 8, 0, 2], flip=True, flip_direction='horizontal')])
    labels = Image.fromarray(logits[0, :, :30, :40].argmax(0).numpy().astype(np.uint8)[:, ::-1])
    assert np.array_equal(found.pred_sem_seg.data[0].numpy(), labels.resize((80, 60), Image.Resampling.NEAREST))


def test_scores_resized_by_default():
    model = make(classes=7).eval()
    logits = torch.randn(1, 7, 32, 48)
    found, = model.postprocess_result(logits, [sample((60, 80), (32, 48))])
    expected = nn.functional.interpolate(logits, (60, 80), mode='bilinear', align_corners=True)[0]
    torch.testing.assert_close(found.seg_logits.data, expected)
    assert torch.equal(found.pred_sem_seg.data[0], expected.argmax(0))


def test_the_head_finds_its_loss_whatever_the_default_scope():
    init_default_scope('mmdet')  # whose loss of that name is another
    assert type(ESPNetv2Head([4, 8], num_classes=3).loss_decode) is CrossEntropyLoss
