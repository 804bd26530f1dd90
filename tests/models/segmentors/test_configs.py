"""The configurations of the experiments: they build, and say what Section 5.3 says."""
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from torch import nn

import dicenet_mm
from dicenet_mm.analysis import complexity, image_shape
from tests.naive import randomised

CONFIGS = Path(__file__).parents[3] / 'configs'
NAMES = {f'espnetv2_{network}_{data}': stage for network in ('dicenet', 'espnetv2')
         for data, stage in {'256_voc12aug': 1, '384_voc12aug': 2, '512x256_cityscapes': 1,
                             '1024x512_cityscapes': 2}.items()}
FIRST = {'384_voc12aug': '256_voc12aug', '1024x512_cityscapes': '512x256_cityscapes'}


def load(name):
    return Config.fromfile(CONFIGS / f'{name}.py')


@pytest.mark.parametrize('name,stage', NAMES.items())
def test_recipe(name, stage):
    cfg = load(name)
    network, data = name.split('_')[1], '_'.join(name.split('_')[2:])
    sides = [int(side) for side in data.split('_')[0].split('x')]
    width, height = sides[0], sides[-1]
    assert image_shape(cfg) == cfg.model.data_preprocessor.size == (height, width)
    assert next(step for step in cfg.train_pipeline if step.type == 'RandomCrop').crop_size == (height, width)
    assert cfg.train_dataloader.dataset.pipeline == cfg.train_pipeline
    assert cfg.test_dataloader == cfg.val_dataloader and cfg.val_dataloader.dataset.pipeline == cfg.test_pipeline
    assert cfg.model.backbone.type == dict(dicenet='DiCENet', espnetv2='ESPNetv2')[network]
    assert cfg.model.backbone.widen_factor == 1.0 and cfg.train_cfg.max_epochs == 100
    assert [step.type for step in cfg.param_scheduler] == ['HybridLR']
    rate, batch = ((0.009, 40), (0.005, 32))[stage - 1]
    assert cfg.optim_wrapper.optimizer.lr == rate and cfg.optim_wrapper.optimizer.weight_decay == 4e-5
    assert cfg.train_dataloader.batch_size == cfg.auto_scale_lr.base_batch_size == batch
    assert bool(cfg.model.get('norm_eval')) == (stage == 2)
    first = f'work_dirs/espnetv2_{network}_{FIRST.get(data)}/epoch_100.pth'
    assert cfg.load_from == (first if stage == 2 else None)


def test_the_decoder_learns_ten_times_as_fast():
    cfg = load('espnetv2_dicenet_256_voc12aug')
    init_default_scope('mmseg')
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    rates = {id(parameter): group['lr'] for group in optimizer.param_groups for parameter in group['params']}
    for name, parameter in model.named_parameters():
        assert rates[id(parameter)] == pytest.approx(0.09 if name.startswith('decode_head.') else 0.009), name


def test_coco_is_added():
    cfg = load('espnetv2_dicenet_256_voc12aug_coco')
    voc, coco = cfg.train_dataloader.dataset.datasets
    assert voc == load('espnetv2_dicenet_256_voc12aug').train_dataloader.dataset
    assert coco.data_prefix == dict(img_path='data/coco/train2017', seg_map_path='data/coco_voc21/train2017')
    assert coco.pipeline == voc.pipeline


@pytest.mark.parametrize('name', NAMES)
def test_multiply_adds_of_the_configurations(name):
    """The 142 and 136 M of s = 1.0 at 256 px, by area; DiCENet's kernels keep their size, so roughly."""
    cfg = load(name)
    height, width = image_shape(cfg)
    expected = dict(dicenet=141.4, espnetv2=135.8)[name.split('_')[1]] * height * width / 256 ** 2
    assert complexity(cfg, (height, width))['total']['macs'] / 1e6 == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize('backbone,width', [('DiCENet', 0.2), ('ESPNetv2', 0.5)])
@pytest.mark.parametrize('size', [(64, 64), (75, 42)])
def test_fused(backbone, width, size):
    cfg = load('espnetv2_dicenet_256_voc12aug')
    cfg.model.backbone.update(type=backbone, widen_factor=width)
    init_default_scope('mmseg')
    model = randomised(MODELS.build(cfg.model))
    fused = dicenet_mm.fuse(model)
    x = torch.randn(2, 3, *size)
    with torch.no_grad():
        expected, got = model(x, mode='tensor'), fused(x, mode='tensor')
    assert (got - expected).abs().max() <= 1e-4 * (expected.max() - expected.min())
    assert sum(isinstance(m, nn.BatchNorm2d) for m in fused.modules()) < sum(
        isinstance(m, nn.BatchNorm2d) for m in model.modules()) / 2
