"""DiCENet as the backbone of configurations that know nothing of this package, but for `custom_imports`."""
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.utils import get_installed_path

import dicenet_mm  # noqa: F401 (custom_imports does it in a configuration)

BACKBONE = dict(_delete_=True, type='DiCENet', widen_factor=0.1)


def upstream(package, name, **changes):
    """One of the package's own configurations with a few values replaced."""
    folder = Path(get_installed_path(package), '.mim/configs')
    return Config.fromstring(f"_base_ = '{folder / name}'\n"
                             + ''.join(f'{key} = {value!r}\n' for key, value in changes.items()), '.py')


@pytest.mark.parametrize('name', ['retinanet/retinanet_r50_fpn_1x_coco.py',
                                  'fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py'])
def test_mmdet_trains(name):
    cfg = upstream('mmdet', name, model=dict(backbone=dict(BACKBONE, out_indices=(1, 2, 3, 4)),
                                             neck=dict(in_channels=[8, 16, 32, 64])))
    init_default_scope('mmdet')
    model = MODELS.build(cfg.model).train()
    from mmdet.testing import demo_mm_inputs
    data = model.data_preprocessor(demo_mm_inputs(2, [[3, 96, 128]] * 2, num_classes=80), True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    before = model.backbone.stage3[0].right[1].dim_conv.height_weight.detach().clone()
    for _ in range(2):
        losses, _ = model.parse_losses(model(**data, mode='loss'))
        optimizer.zero_grad()
        losses.backward()
        optimizer.step()
        assert losses.isfinite()
    assert not torch.equal(before, model.backbone.stage3[0].right[1].dim_conv.height_weight)


def test_mmseg_predicts():
    cfg = upstream('mmseg', 'fcn/fcn_r50-d8_4xb2-40k_cityscapes-512x1024.py',
                   model=dict(backbone=dict(BACKBONE, out_indices=(2, 3, 4)), pretrained=None,
                              decode_head=dict(in_index=2, in_channels=64, channels=16),
                              auxiliary_head=dict(in_index=1, in_channels=32, channels=16)))
    init_default_scope('mmseg')
    cfg.model.data_preprocessor.size = None
    for part in (cfg.model.backbone, cfg.model.decode_head, cfg.model.auxiliary_head):
        part.norm_cfg = dict(type='BN')
    model = MODELS.build(cfg.model).eval()
    assert model(torch.rand(1, 3, 64, 96), None, mode='tensor').shape == (1, 19, 2, 3)


def test_mmpretrain_predicts():
    cfg = upstream('mmpretrain', 'resnet/resnet50_8xb32_in1k.py',
                   model=dict(backbone=dict(BACKBONE, out_indices=(4, )), head=dict(in_channels=64)))
    init_default_scope('mmpretrain')
    model = MODELS.build(cfg.model).eval()
    assert model(torch.rand(1, 3, 64, 96)).shape == (1, 1000)
