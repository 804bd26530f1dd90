"""The contract of an OpenMMLab backbone, which DiCENet and ESPNetv2 share."""
import pytest
import torch
from mmengine.registry import MODELS
from torch import nn

from dicenet_mm.models.backbones import DiCENet, ESPNetv2, levels

SMALLEST = {DiCENet: 0.1, ESPNetv2: 0.5}
STAGES = {DiCENet: 3, ESPNetv2: 4}


@pytest.fixture(params=SMALLEST, ids=lambda kind: kind.__name__)
def kind(request):
    return request.param


def make(kind, **arguments):
    return kind(**{'widen_factor': SMALLEST[kind], **arguments})


@pytest.mark.parametrize('arguments,message', [
    (dict(widen_factor=1.1), r'widen_factor must be one of 0\.\d, .* 2\.\d, got 1\.1'),
    (dict(out_indices=(3, 2)), r'out_indices must be levels from 0 \(stem\) to \d \(\w+\), ascending, got \(3, 2\)'),
    (dict(out_indices=(6,)), 'out_indices'),
    (dict(out_indices=()), 'out_indices'),
    (dict(frozen_stages=5), r'frozen_stages must be from -1 \(none\) to \d, got 5'),
])
def test_refuses(kind, arguments, message):
    with pytest.raises(ValueError, match=message):
        make(kind, **arguments)


def test_is_built_from_the_root_registry(kind):
    assert type(MODELS.build(dict(type=kind.__name__, widen_factor=SMALLEST[kind]))) is kind


def test_levels_that_nobody_asks_for_are_not_built(kind):
    modules = {name for name, child in make(kind, out_indices=(0, 1, 2)).named_children()
               if next(child.parameters(), None) is not None}
    assert modules == ({'stem', 'stage1'} if kind is DiCENet else {'stem', 'stage1', 'stage2'})


def test_train_and_eval_return_self(kind):
    model = make(kind)
    assert model.train() is model and model.eval() is model


@pytest.mark.parametrize('frozen', range(-1, 5))
def test_frozen_stages(kind, frozen):
    if frozen > STAGES[kind]:
        pytest.skip(f'{kind.__name__} has {STAGES[kind]} stages')
    model = make(kind, frozen_stages=frozen)
    names = ('stem', *(f'stage{index + 1}' for index in range(STAGES[kind])))
    for _ in range(2):  # from the start, and after train()
        for index, name in enumerate(names):
            stage = getattr(model, name)
            assert all(p.requires_grad == (index > frozen) for p in stage.parameters())
            assert all(m.training == (index > frozen) for m in stage.modules())
        model.train()


def test_norm_eval(kind):
    model = make(kind, norm_eval=True).train()
    assert model.training
    assert not any(m.training for m in model.modules() if isinstance(m, nn.BatchNorm2d))


def test_recomputation_gives_the_same_gradients(kind):
    x = torch.rand(2, 3, 64, 64)
    grads = []
    for with_cp in (False, True):
        torch.manual_seed(1)
        model = make(kind, with_cp=with_cp)
        sum(out.square().sum() for out in model(x)).backward()
        grads.append([p.grad for p in model.parameters()])
    torch.testing.assert_close(*grads)


def test_other_layers_and_channels(kind):
    model = make(kind, in_channels=1, norm_cfg=dict(type='GN', num_groups=1), act_cfg=dict(type='ReLU'))
    kinds = {type(m) for m in model.modules()}
    assert nn.GroupNorm in kinds and nn.ReLU in kinds and not {nn.BatchNorm2d, nn.PReLU} & kinds
    assert len(model(torch.rand(1, 1, 64, 64))) == 3


def test_loading_a_smaller_encoder_says_what_is_absent(kind, monkeypatch):
    said = []
    monkeypatch.setattr(levels, 'print_log', lambda message, **_: said.append(message))
    smaller = make(kind, out_indices=(2,)).state_dict()
    make(kind).load_state_dict(smaller, strict=False)
    absent = 'stage2, stage3' if kind is DiCENet else 'stage3, stage4'
    assert said == [f'{kind.__name__}: the checkpoint has no {absent}, which keeps its random initialisation.']
