"""fuse() gives the same outputs, leaves the original alone and refuses training mode."""
import copy
import io
import mmap
import pickle
from functools import partial

import pytest
import torch
from mmcv.cnn import ConvModule
from torch import nn

import dicenet_mm
from dicenet_mm.layers import (
    DiCEBlock,
    DiCEUnit,
    EfficientPyramidPool,
    StridedDiCEBlock,
    UpsampleAdd,
    conv_norm_act,
)
from dicenet_mm.models.backbones import DiCENet
from dicenet_mm.ops import library
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
    'blocks in a row': (lambda: nn.Sequential(DiCEBlock(14, 18, (7, 9)), DiCEBlock(18, 18, (7, 9))), 14),
    'blocks after a strided one': (lambda: nn.Sequential(StridedDiCEBlock(10, (4, 5)), DiCEBlock(20, 20, (4, 5))), 10),
    'no layers': (lambda: nn.Sequential(), 10),
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


def shared(conv):
    """With a normalisation of its own at each place."""
    return nn.Sequential(nn.Sequential(conv, nn.BatchNorm2d(12)), nn.Sigmoid(), nn.Sequential(conv, nn.BatchNorm2d(12)))


def repeated(act):
    return nn.Sequential(act, nn.Conv2d(12, 12, 3), act, nn.BatchNorm2d(12))


class WithSkip(ConvModule):
    def forward(self, x):
        return x + super().forward(x)


@pytest.mark.parametrize('make', [
    lambda: repeated(nn.ReLU()),
    lambda: WithSkip(12, 12, 1, norm_cfg=dict(type='BN')),
    lambda: conv_norm_act(12, 12, 1, norm_layer=partial(nn.BatchNorm2d, track_running_stats=False)),
    lambda: conv_norm_act(12, 12, 1, norm_layer=partial(nn.BatchNorm2d, affine=False)),
    *(lambda norm=norm: EfficientPyramidPool(12, 4, 6, norm_layer=norm) for norm in (
        nn.InstanceNorm2d, partial(nn.BatchNorm2d, affine=False), partial(nn.GroupNorm, 2))),
    lambda: ConvModule(12, 12, 3, order=('norm', 'act', 'conv'), norm_cfg=dict(type='BN')),
    lambda: nn.Sequential(nn.Conv2d(12, 20, 3), nn.ReLU(), nn.BatchNorm2d(20)),
    lambda: nn.Sequential(nn.Conv2d(12, 20, 3), nn.BatchNorm2d(20, track_running_stats=False)),
    lambda: nn.Sequential(nn.Conv2d(12, 20, 3, bias=False), nn.BatchNorm2d(20, affine=False)),
    lambda: shared(nn.Conv2d(12, 12, 3)),
])
def test_layers_around_normalisation_of_any_kind(make):
    """It folds into the convolution right before it, and only there and where it can."""
    assert_same(randomised(make()), torch.randn(2, 12, 7, 9))


@pytest.mark.parametrize('size', [(64, 64), (75, 50)])
@pytest.mark.parametrize('widen_factor', [0.1, 0.75])
def test_backbone(size, widen_factor):
    model = randomised(DiCENet(widen_factor, input_size=64, out_indices=(0, 1, 2, 3, 4)))
    assert_same(model, torch.randn(2, 3, *size))
    model.out_indices = (1, 4)  # nothing lies between stem and max pool then
    assert_same(model, torch.randn(3, 3, *size))


@torch.no_grad()
@pytest.mark.parametrize('norm', [nn.InstanceNorm2d, partial(nn.BatchNorm2d, affine=False), nn.Identity,
                                  partial(nn.BatchNorm2d, track_running_stats=False)])
def test_an_enlarged_map_is_normalised_by_anything(norm):
    layer, (coarse, fine) = randomised(UpsampleAdd(4, norm_layer=norm)), torch.randn(2, 3, 4, 8, 8)
    torch.testing.assert_close(dicenet_mm.fuse(layer)(coarse[..., :3, :5], fine), layer(coarse[..., :3, :5], fine))


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


@pytest.mark.skipif(not library.LOADED or not hasattr(mmap, 'MADV_HUGEPAGE'), reason='needs both')
def test_weights_lie_together_each_at_the_start_of_a_cache_line():
    buffers = list(dicenet_mm.fuse(DiCENet(0.1, input_size=64).eval()).buffers())
    ends = [buffer.data_ptr() + buffer.nbytes for buffer in buffers]
    assert len(buffers) > 3
    assert all(buffer.data_ptr() % 64 == 0 for buffer in buffers)
    assert all(0 <= buffer.data_ptr() - end < 64 for buffer, end in zip(buffers[1:], ends))


def test_copies_and_pickles():
    fused = dicenet_mm.fuse(randomised(DiCENet(0.1)))
    x = torch.randn(1, 3, 64, 64)
    for clone in (copy.deepcopy(fused), pickle.loads(pickle.dumps(fused)), saved(fused, weights_only=False)):
        assert all(torch.equal(a, b) for a, b in zip(outputs(fused, x), outputs(clone, x)))


def test_state_of_a_fused_copy_fits_another():
    first, second = (dicenet_mm.fuse(randomised(DiCENet(0.1))) for _ in range(2))
    x = torch.randn(1, 3, 64, 64)
    assert not torch.equal(outputs(first, x)[0], outputs(second, x)[0])
    second.load_state_dict(saved(first.state_dict(), weights_only=True))
    assert all(torch.equal(a, b) for a, b in zip(outputs(first, x), outputs(second, x)))


@pytest.mark.parametrize('clone', [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model)),
                                   lambda model: saved(model, weights_only=False)])
def test_models_copy_and_pickle_amid_training(clone):
    """With gradients and statistics; the clone goes on as the original does, and apart from it."""
    model, x = DiCENet(0.1, with_cp=True).train(), torch.randn(2, 3, 64, 64)

    def step(model):
        outs = model(x)
        sum(out.square().mean() for out in outs).backward()
        return [*outs, *(p.grad for p in model.parameters()), *model.buffers()]

    step(model)
    twin = clone(model)
    model.zero_grad()
    twin.zero_grad()
    expected = [tensor.detach().clone() for tensor in step(model)]
    assert all(torch.equal(a, b) for a, b in zip(step(twin), expected, strict=True))


def saved(value, weights_only):
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file, weights_only=weights_only)


@pytest.mark.skipif(not library.LOADED, reason='PyTorch promises the same bits for no number of threads')
@pytest.mark.parametrize('size', [(64, 64), (75, 50)])
def test_same_bits_at_any_number_of_threads(size):
    fused = dicenet_mm.fuse(randomised(DiCENet(0.5, input_size=64)))
    x = torch.randn(3, 3, *size)
    try:
        runs = []
        for threads in (1, 2, 3, 1):
            torch.set_num_threads(threads)
            runs.append(outputs(fused, x))
    finally:
        torch.set_num_threads(1)
    assert all(torch.equal(a, b) for run in runs[1:] for a, b in zip(run, runs[0]))


def test_a_model_of_channels_last():
    model, x = randomised(DiCENet(0.2)), torch.randn(2, 3, 64, 64)
    expected = outputs(model, x)
    model.to(memory_format=torch.channels_last)
    for got in (outputs(model, x.to(memory_format=torch.channels_last)), outputs(dicenet_mm.fuse(model), x)):
        for a, b in zip(got, expected):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5 * b.abs().max().item())


@pytest.mark.parametrize('part', ['', 'stem'])
def test_refuses_training_mode(part):
    model = DiCENet(0.1).eval()
    model.get_submodule(part).train()
    with pytest.raises(RuntimeError, match=r'call model\.eval\(\) first'):
        dicenet_mm.fuse(model)
