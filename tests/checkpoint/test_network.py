"""What a checkpoint says of its network: written as data, and built only from known parts."""
import copy
import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS

from dicenet_mm.checkpoint import Network
from dicenet_mm.checkpoint.reader import from_json, to_json
from dicenet_mm.errors import UserError

CONFIGS = Path(__file__).parents[2] / 'configs'
TYPED = sorted(file for file in CONFIGS.rglob('*.py') if '_base_' not in file.parts)


def described(name='quickstart.py'):
    return Network.from_config(Config.fromfile(CONFIGS / name)).plain()


@pytest.mark.parametrize('config', TYPED, ids=lambda file: file.stem)
def test_every_configuration_describes_its_network(config):
    """Through JSON and back, with everything that matters to prediction, and nothing that names a file."""
    cfg = Config.fromfile(config)
    plain = Network.from_config(cfg).plain()
    again = Network.from_plain(from_json(json.loads(json.dumps(to_json(plain)))))
    assert again.plain() == plain
    assert again.default_scope == cfg.default_scope
    kept = {key: value for key, value in again.model.items()}
    assert kept.keys() == cfg.model.keys() - {'train_cfg', 'init_cfg'}
    assert [step['type'] for step in again.pipeline] == [
        step['type'] for step in cfg.test_dataloader.dataset.pipeline if not step['type'].startswith('Load')]


@pytest.mark.parametrize('config', ['quickstart.py', 'espnetv2_dicenet_digit_scenes.py', 'dicenet_digits.py'])
def test_builds_the_same_model(config):
    cfg = Config.fromfile(CONFIGS / config)
    own = Network.from_config(cfg).build()
    built = Network.from_plain(described(config)).build(own.state_dict())
    built.load_state_dict(own.state_dict())
    assert [(name, type(part), part.extra_repr()) for name, part in own.named_modules()] == [
        (name, type(part), part.extra_repr()) for name, part in built.named_modules()]


def test_a_start_from_other_weights_is_not_written():
    cfg = Config.fromfile(CONFIGS / 'quickstart.py')
    cfg.merge_from_dict({'model.backbone.init_cfg': dict(type='Pretrained', checkpoint='/home/someone/a.pth')})
    assert 'someone' not in str(Network.from_config(cfg).plain())


def put(path, value):
    """A change of a description: a value at a dotted place."""
    def change(plain):
        *parents, last = path.split('.')
        for key in parents:
            plain = plain[int(key) if key.isdigit() else key]
        plain[int(last) if last.isdigit() else last] = value
    return change


RAN = 'this_file_must_not_be_made'
CODE = [
    # any callable that a registry finds by its dotted name
    put('model', dict(type='subprocess.getoutput', cmd=f'touch {RAN}')),
    put('model.backbone', dict(type='subprocess.getoutput', cmd='touch')),
    put('model.backbone.type', 'os.getcwd'),
    put('model.backbone.type', 'builtins.exec'),
    put('model.backbone.type', 'mmengine.config.Config.fromfile'),
    put('model.backbone.type', 'mmengine.Config.fromfile'),
    put('model.backbone.type', 'dicenet_mm.models.DiCENet'),
    put('model.bbox_head.anchor_generator.type', 'mmdet.apis.init_detector'),
    put('model.bbox_head.norm_cfg', dict(type='torch.hub.load')),
    put('model.backbone.type', 'antigravity'),  # a module's name, which a registry would import
    put('model.backbone.type', dict(type='DiCENet')),
    put('model.backbone.type', ['DiCENet']),
    put('model.backbone.type', None),
    # mmcv evaluates the name of the suppression
    put('model.test_cfg.nms.type', '__import__("os").getcwd'),
    put('model.test_cfg.nms.type', 'exit'),
    put('model.bbox_head.type', 'nms'),
    # registered, and reading what its arguments name
    put('model.backbone', dict(type='mmpretrain.TIMMBackbone', model_name='resnet18', checkpoint_path='a')),
    put('model.backbone', dict(type='mmseg.VPD', diffusion_cfg=dict())),
    put('model', dict(type='mmpretrain.HuggingFaceClassifier', model_name='gpt2')),
    put('model', dict(type='mmdet.KnowledgeDistillationSingleStageDetector', teacher_config='a', teacher_ckpt='b')),
    put('model', dict(type='mmdet.LAD')),
    put('model', dict(type='mmdet.Detectron2Wrapper', detector=dict())),
    put('model', dict(type='mmpretrain.Blip2VQA')),
    put('model.backbone', dict(type='mmdet.GMC')),
    # of other registries
    put('model', dict(type='LoadImageFromFile')),
    put('model', dict(type='Runner')),
    put('model', dict(type='mmdet.CocoDataset')),
    put('visualizer', dict(type='SSD')),
    put('visualizer.type', 'mmengine.Visualizer.get_instance'),
    put('visualizer.vis_backends', [dict(type='LocalVisBackend', save_dir='a')]),
    put('visualizer.save_dir', '/tmp'),
    put('pipeline.0', dict(type='LoadImageFromFile')),
    put('pipeline.0', dict(type='mmdet.LoadImageFromFile')),
    put('pipeline.0', dict(type='RandomApply', transforms=[])),
    put('pipeline.0', dict(type='torchvision/Lambda', lambd='a')),
    put('pipeline.0', dict(type='Albu')),
    put('pipeline.0', 'Resize'),
    put('pipeline.0.scale', (10 ** 9, 10 ** 9)),
    put('pipeline', None),
    put('pipeline', dict(type='Resize')),
    # paths, addresses, text that some part may evaluate or load
    put('model.bbox_head.loss_cls', dict(type='CrossEntropyLoss', class_weight='/home/someone/a.pkl')),
    put('model.bbox_head.loss_cls', dict(type='CrossEntropyLoss', class_weight='a.pkl')),
    put('model.bbox_head.loss_cls', dict(type='CrossEntropyLoss', class_weight='pkl')),
    put('model.backbone.path', 'http://example.com/a'),
    put('model.backbone.note', 'a()'),
    put('model.backbone.note', 'a\x1b[2J'),
    put('model.backbone.note', b'bytes'),
    put('model.backbone.note', torch.zeros(1)),
    # names that change what is built
    put('model.backbone._scope_', 'mmdet'),
    put('model._scope_', 'os'),
    put('model.backbone.__class__', 'a'),
    put('model.backbone', {1: 2}),
    put('default_scope', 'os'),
    put('default_scope', 'dicenet_mm'),
    put('default_scope', ['mmdet']),
    put('model.backbone.widen_factor', 1e300),
    put('model.neck.out_channels', (2 ** 40, ) * 3),
]


@pytest.mark.parametrize('change', CODE)
def test_nothing_else_is_built(change):
    plain = copy.deepcopy(described())
    change(plain)
    with pytest.raises(UserError) as error:
        Network.from_plain(plain)
    assert str(error.value).isprintable() and len(str(error.value)) < 600
    assert not Path(RAN).exists()


@pytest.mark.parametrize('plain', [None, [], 'text', {}, dict(model=1), dict.fromkeys(
    ('default_scope', 'model', 'pipeline', 'visualizer'))])
def test_half_a_description(plain):
    with pytest.raises(UserError):
        Network.from_plain(plain)


def test_weights_that_a_part_would_fetch_are_left_out():
    plain = described()
    plain['model']['backbone']['init_cfg'] = dict(type='Pretrained', checkpoint='http://example.com/a.pth')
    plain['model']['train_cfg'] = dict(type='os.system')
    plain['model']['data_preprocessor']['batch_augments'] = [dict(type='os.system')]
    plain['model']['pretrained'] = 'http://example.com/a.pth'
    kept = Network.from_plain(plain)
    assert 'example' not in str(kept) and 'system' not in str(kept)


@pytest.mark.parametrize('change', [
    put('model.bbox_head.num_classes', 2 ** 20),
    put('model.neck.out_channels', (2 ** 14, 2 ** 14, 2 ** 14)),
])
def test_a_network_that_is_too_large_for_its_weights(change):
    """It is refused before its memory is touched."""
    plain = described()
    own = Network.from_plain(plain).build().state_dict()
    change(plain)
    with pytest.raises(UserError, match='several times as large as its weights'):
        Network.from_plain(plain).build(own)


def test_arguments_that_do_not_fit_are_a_sentence():
    plain = described()
    plain['model']['backbone']['of_another_version'] = 1
    with pytest.raises(UserError, match='cannot be built as it is described: .*of_another_version'):
        Network.from_plain(plain).build()


def test_own_parts_need_a_configuration():
    """What a user registers is code that a stranger's file may not call."""
    @MODELS.register_module()
    class PartOfAUser(torch.nn.Identity):
        pass

    try:
        plain = described()
        plain['model']['backbone'] = dict(type='PartOfAUser')
        with pytest.raises(UserError, match='PartOfAUser'):
            Network.from_plain(plain)
    finally:
        MODELS.module_dict.pop('PartOfAUser')
