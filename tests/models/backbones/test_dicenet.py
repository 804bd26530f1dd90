"""The backbone: complexity against the authors' figures, and the contract of an OpenMMLab backbone."""
import json

import pytest
import torch
from mmengine.registry import MODELS
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dicenet_mm.models.backbones import dicenet
from dicenet_mm.models.backbones.dicenet import WIDTHS, DiCENet

LAST = {0.1: 512, 0.2: 1024, 2.4: 1280}  # 1024 elsewhere: the classifier's hidden width


def complexity(model, size):
    """(multiply-adds, parameters), in millions."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.empty(1, 3, size, size, device='meta'))
    return counter.get_total_flops() / 2e6, sum(p.numel() for p in model.parameters()) / 1e6


@pytest.mark.parametrize('width', WIDTHS)
def test_complexity_with_the_classifier(shared, width):
    """The backbone's counts plus the classifier's by arithmetic: C L / 4 for the grouped layer, 1000 L for the last."""
    expected = json.loads((shared / 'reference/complexity.json').read_text())['classification_224']['measured']
    with torch.device('meta'):
        macs, parameters = complexity(DiCENet(width).eval(), 224)
    last, grouped = LAST.get(width, 1024), WIDTHS[width][-1] * LAST.get(width, 1024) / 4
    assert macs + (grouped + 1000 * last) / 1e6 == pytest.approx(expected[str(width)][0], rel=5e-3)
    assert parameters + (grouped + 1001 * last) / 1e6 == pytest.approx(expected[str(width)][1], rel=5e-3)


@pytest.mark.parametrize('width', [2.0, 2.4])
@pytest.mark.parametrize('size', [224, 300, 512])
def test_complexity_of_the_backbone(shared, width, size):
    file = json.loads((shared / 'reference/complexity.json').read_text())
    expected = file['backbone_without_classifier']['measured'][str(width)]
    with torch.device('meta'):
        macs, parameters = complexity(DiCENet(width).eval(), size)
    assert macs == pytest.approx(expected[str(size)], rel=5e-3)
    assert parameters == pytest.approx(expected['params'], rel=5e-3)


@pytest.mark.parametrize('width', WIDTHS)
@pytest.mark.parametrize('size', [(64, 64), (33, 70)])
def test_every_width_gives_its_maps(width, size):
    model = DiCENet(width, input_size=size, out_indices=range(5))
    outs = model(torch.rand(2, 3, *size))
    stem, *stages = WIDTHS[width]
    assert model.out_channels == (stem, stem, *stages)
    side = torch.tensor(size)
    for out, channels in zip(outs, model.out_channels):
        side = (side + 1) // 2
        assert out.shape == (2, channels, *side)
    sum(out.sum() for out in outs).backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize('arguments,message', [
    (dict(widen_factor=1.1), r'widen_factor must be one of 0\.1, 0\.2, .* 2\.4, got 1\.1'),
    (dict(out_indices=(3, 2)), 'out_indices'),
    (dict(out_indices=(5,)), 'out_indices'),
    (dict(out_indices=()), 'out_indices'),
    (dict(frozen_stages=4), 'frozen_stages'),
])
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        DiCENet(**arguments)


def test_is_built_from_the_root_registry():
    assert type(MODELS.build(dict(type='DiCENet', widen_factor=0.1))) is DiCENet


def test_levels_that_nobody_asks_for_are_not_built():
    names = {name.split('.')[0] for name, _ in DiCENet(0.1, out_indices=(0, 1, 2, 3)).named_parameters()}
    assert names == {'stem', 'stage1', 'stage2'}


def test_train_and_eval_return_self():
    model = DiCENet(0.1)
    assert model.train() is model and model.eval() is model


@pytest.mark.parametrize('frozen', range(-1, 4))
def test_frozen_stages(frozen):
    model = DiCENet(0.1, frozen_stages=frozen)
    names = ('stem', 'stage1', 'stage2', 'stage3')
    for _ in range(2):  # from the start, and after train()
        for index, name in enumerate(names):
            stage = getattr(model, name)
            assert all(p.requires_grad == (index > frozen) for p in stage.parameters())
            assert all(m.training == (index > frozen) for m in stage.modules())
        model.train()


def test_norm_eval():
    model = DiCENet(0.1, norm_eval=True).train()
    assert model.training
    assert not any(m.training for m in model.modules() if isinstance(m, nn.BatchNorm2d))


def test_recomputation_gives_the_same_gradients():
    x = torch.rand(2, 3, 64, 64)
    grads = []
    for with_cp in (False, True):
        torch.manual_seed(1)
        model = DiCENet(0.1, with_cp=with_cp)
        sum(out.square().sum() for out in model(x)).backward()
        grads.append([p.grad for p in model.parameters()])
    torch.testing.assert_close(*grads)


def test_other_layers_and_channels():
    model = DiCENet(0.1, in_channels=1, norm_cfg=dict(type='GN', num_groups=1), act_cfg=dict(type='ReLU'))
    kinds = {type(m) for m in model.modules()}
    assert nn.GroupNorm in kinds and nn.ReLU in kinds and not {nn.BatchNorm2d, nn.PReLU} & kinds
    assert len(model(torch.rand(1, 1, 64, 64))) == 3


def test_initialisation():
    model = DiCENet(1.0)
    model.init_weights()
    weight = model.stage2[3].branch[0][0].weight
    assert weight.std().item() == pytest.approx((2 / weight.shape[0]) ** 0.5, rel=0.05)
    assert (model.stem[2].weight == 0.25).all()


def test_checkpoint_of_another_input_size_is_resampled(monkeypatch, tmp_path):
    """Kernels built for 300 px serve 224 px, averaged as a map would be; one message tells."""
    said = []
    monkeypatch.setattr(dicenet, 'print_log', lambda message, **_: said.append(message))
    source = DiCENet(0.1, input_size=300)
    torch.save(source.state_dict(), tmp_path / 'at300.pth')
    model = DiCENet(0.1, init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'at300.pth')))
    model.init_weights()
    assert len(said) == 1 and 'resampled (38 -> 28, 19 -> 14, 10 -> 7)' in said[0]
    old, new = source.stage3[0].right[1].dim_conv, model.stage3[0].right[1].dim_conv
    # bins of 10 rows onto 7, the first and the last: rows 0-1 and 8-9
    torch.testing.assert_close(new.height_weight[0], old.height_weight[:2].mean(0))
    torch.testing.assert_close(new.width_weight[-1], old.width_weight[8:].mean(0))
    torch.testing.assert_close(new.depth_weight, old.depth_weight)
