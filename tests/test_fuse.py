"""fuse() gives the same outputs, leaves the original alone and refuses training mode."""
import copy
import pickle

import pytest
import torch
from torch import nn

import dicenet_mm
from dicenet_mm.layers import DiCEBlock, DiCEUnit, StridedDiCEBlock
from dicenet_mm.models.backbones import DiCENet
from tests.naive import randomised


def outputs(model, x):
    with torch.no_grad():
        out = model(x)
    return out if isinstance(out, tuple) else (out,)


def assert_same(model, x, tolerance=1e-4):
    expected = outputs(model, x)
    got = outputs(dicenet_mm.fuse(model), x)
    assert len(got) == len(expected)
    for a, b in zip(got, expected):
        assert a.shape == b.shape and a.dtype == b.dtype
        assert (a - b).abs().max() <= tolerance * b.abs().max()


MODELS = {
    'unit': (lambda: DiCEUnit(12, 12, (7, 9)), 12),
    'unit with other width': (lambda: DiCEUnit(12, 18, (7, 9)), 12),
    'dilated unit': (lambda: DiCEUnit(12, 12, (7, 9), dilation=2), 12),
    'block': (lambda: DiCEBlock(14, 14, (7, 9)), 14),
    'growing block': (lambda: DiCEBlock(14, 22, (7, 9)), 14),
    'strided block': (lambda: StridedDiCEBlock(10, (4, 5)), 10),
    'ReLU': (lambda: DiCEBlock(14, 14, (7, 9), act_layer=lambda channels: nn.ReLU()), 14),
    'one slope': (lambda: DiCEUnit(12, 12, (7, 9), act_layer=lambda channels: nn.PReLU()), 12),
    'group norm': (lambda: DiCEUnit(12, 12, (7, 9), norm_layer=lambda channels: nn.GroupNorm(2, channels)), 12),
}


@pytest.mark.parametrize('name', MODELS)
@pytest.mark.parametrize('size', [(7, 9), (13, 6), (1, 1)])
@pytest.mark.parametrize('batch', [1, 3])
def test_same_outputs(name, size, batch):
    make, channels = MODELS[name]
    model = randomised(make())
    assert_same(model, torch.randn(batch, channels, *size))


@pytest.mark.parametrize('size', [(64, 64), (75, 50)])
@pytest.mark.parametrize('widen_factor', [0.1, 0.75])
def test_backbone(size, widen_factor):
    model = randomised(DiCENet(widen_factor, input_size=64, out_indices=(0, 1, 2, 3, 4)))
    assert_same(model, torch.randn(2, 3, *size))


def test_original_is_untouched_and_shares_nothing():
    model = randomised(DiCENet(0.1))
    before = copy.deepcopy(model.state_dict())
    x = torch.randn(1, 3, 64, 64)
    fused = dicenet_mm.fuse(model)
    expected = outputs(fused, x)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(p.requires_grad for p in model.parameters()) and not any(p.requires_grad for p in fused.parameters())
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.zero_()
    assert all(torch.equal(a, b) for a, b in zip(outputs(fused, x), expected))


def test_twice_is_harmless():
    model = randomised(DiCENet(0.1))
    once = dicenet_mm.fuse(model)
    x = torch.randn(1, 3, 64, 64)
    assert all(torch.equal(a, b) for a, b in zip(outputs(once, x), outputs(dicenet_mm.fuse(once), x)))


def test_copies_and_pickles():
    fused = dicenet_mm.fuse(randomised(DiCENet(0.1)))
    x = torch.randn(1, 3, 64, 64)
    for clone in (copy.deepcopy(fused), pickle.loads(pickle.dumps(fused))):
        assert all(torch.equal(a, b) for a, b in zip(outputs(fused, x), outputs(clone, x)))


@pytest.mark.parametrize('part', ['', 'stem'])
def test_refuses_training_mode(part):
    model = DiCENet(0.1).eval()
    model.get_submodule(part).train()
    with pytest.raises(RuntimeError, match=r'call model\.eval\(\) first'):
        dicenet_mm.fuse(model)
