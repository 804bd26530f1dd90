"""Batch normalisation folds into a convolution where that changes nothing, and only there."""
from copy import deepcopy

import pytest
import torch
from mmcv.cnn import ConvModule
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm

import dicenet_mm
from dicenet_mm.layers import DiCEUnit, EfficientPyramidPool
from tests.naive import randomised


class Wired(nn.Module):
    """A convolution, a normalisation, and how they are put together."""

    def __init__(self, forward, conv=None, norm=None):
        super().__init__()
        self.conv = conv or nn.Conv2d(6, 6, 3, padding=1, bias=False)
        self.norm = norm or nn.BatchNorm2d(6)
        self.wiring = forward

    def forward(self, x):
        return self.wiring(self, x)


class WithOption(Wired):
    def forward(self, x, skip=None):
        y = self.conv(x)
        return self.norm(y) + y if skip is None else self.norm(y)


class Remembers(Wired):
    def forward(self, x):
        self.before = [self.conv(x)]  # for whoever asks later
        return self.norm(self.before[0])


class Untraceable(nn.Sequential):
    def forward(self, x):
        return super().forward(x) if x.sum() > 0 else super().forward(-x)


class NormAndMore(nn.BatchNorm2d):
    def forward(self, x):
        return super().forward(x).relu()


class ConvAndMore(nn.Conv2d):
    def forward(self, x):
        return super().forward(x).relu()


def hooked(module, kind='register_forward_hook'):
    getattr(module, kind)(lambda module, given, *out: out[0] * 2 if out else (given[0] * 2,))
    return module


def conv():
    return nn.Conv2d(6, 6, 3, padding=1)


def branches():
    """Convolutions and normalisations in lists of their own."""
    model = nn.Module()
    model.convs, model.norms = nn.ModuleList([conv(), conv()]), nn.ModuleList([nn.BatchNorm2d(6), nn.BatchNorm2d(6)])
    return Wired(lambda self, x: sum(norm(conv(x)) for conv, norm in zip(self.conv.convs, self.conv.norms)), model,
                 nn.Identity())


def patched():
    model = Wired(lambda self, x: self.norm(self.conv(x)))
    model.norm.forward = lambda x: 2 * x
    return model


def two_names():
    model = Wired(lambda self, x: self.norm(self.again(x)) + self.conv(x))
    model.again = model.conv
    return model


def plain(self, x):
    return self.norm(self.conv(x))


#: How many normalisations are left to each.
WIRINGS = {
    'in a row': (lambda: Wired(plain), 0),
    'synchronised': (lambda: Wired(plain, norm=nn.SyncBatchNorm(6)), 0),
    'through an activation': (lambda: Wired(lambda self, x: self.norm(self.conv(x).relu())), 1),
    'before the convolution': (lambda: Wired(lambda self, x: self.conv(self.norm(x).relu())), 1),
    'around a residual': (lambda: Wired(lambda self, x: (y := self.conv(x)) + self.norm(y)), 1),
    'both returned': (lambda: Wired(lambda self, x: torch.cat((y := self.conv(x), self.norm(y)))), 1),
    'the convolution twice': (lambda: Wired(lambda self, x: self.norm(self.conv(x)) + self.conv(x)), 1),
    'the normalisation twice': (lambda: Wired(lambda self, x: self.norm(self.norm(self.conv(x)))), 1),
    'both twice': (lambda: Wired(lambda self, x: plain(self, plain(self, x))), 0),
    'weight in use elsewhere': (
        lambda: Wired(lambda self, x: plain(self, x) + nn.functional.conv2d(x, self.conv.weight, padding=1)), 1),
    'statistics in use elsewhere': (lambda: Wired(lambda self, x: plain(self, x) + self.norm.running_mean.sum()), 1),
    'an option': (lambda: WithOption(None), 1),
    'kept for later': (lambda: Remembers(None), 1),
    'from the children of a row': (
        lambda: Wired(lambda self, x: sum((x := layer(x)) for layer in self.conv),
                      nn.Sequential(conv(), nn.BatchNorm2d(6)), nn.Identity()), 1),
    'lists': (branches, 0),
    'two names': (two_names, 1),
    'a row in what cannot be traced': (lambda: Untraceable(nn.Sequential(conv(), nn.BatchNorm2d(6))), 0),
    'held by what cannot be traced': (lambda: Untraceable(conv(), nn.BatchNorm2d(6)), 1),
    'a normalisation of another kind': (lambda: Wired(plain, norm=NormAndMore(6)), 1),
    'a convolution of another kind': (lambda: Wired(plain, ConvAndMore(6, 6, 3, padding=1)), 1),
    'without statistics': (lambda: Wired(plain, norm=nn.BatchNorm2d(6, track_running_stats=False)), 1),
    'hook of the convolution': (lambda: Wired(plain, hooked(conv())), 1),
    'hook before the convolution': (lambda: Wired(plain, hooked(conv(), 'register_forward_pre_hook')), 1),
    'hook of the normalisation': (lambda: Wired(plain, norm=hooked(nn.BatchNorm2d(6))), 1),
    'hook of the whole': (lambda: hooked(nn.Sequential(nn.Conv2d(6, 6, 1), nn.BatchNorm2d(6))), 0),
    'a forward of its own': (patched, 1),
    'weight norm': (lambda: Wired(plain, weight_norm(conv())), 1),
    'spectral norm': (lambda: Wired(plain, spectral_norm(conv())), 1),
    'weight norm as a parametrization': (lambda: Wired(plain, parametrizations.weight_norm(conv())), 1),
    'spectral norm as a parametrization': (lambda: Wired(plain, parametrizations.spectral_norm(conv())), 1),
    'ConvModule': (lambda: ConvModule(6, 6, 3, padding=1, norm_cfg=dict(type='BN')), 0),
    'ConvModule of another order': (
        lambda: ConvModule(6, 6, 3, padding=1, order=('norm', 'conv', 'act'), norm_cfg=dict(type='BN')), 1),
    'ConvModule, activation first': (
        lambda: ConvModule(6, 6, 3, padding=1, order=('act', 'conv', 'norm'), norm_cfg=dict(type='BN')), 0),
    'ConvModule that reflects': (
        lambda: ConvModule(6, 6, 3, padding=1, padding_mode='reflect', norm_cfg=dict(type='BN')), 0),
    'ConvModule with spectral norm': (
        lambda: ConvModule(6, 6, 3, padding=1, with_spectral_norm=True, norm_cfg=dict(type='BN')), 1),
    'ConvModule without its normalisation': (
        lambda: Wired(lambda self, x: self.conv(x, norm=False),
                      ConvModule(6, 6, 3, padding=1, norm_cfg=dict(type='BN')), nn.Identity()), 1),
    'ConvModule that folds in each pass': (
        lambda: ConvModule(6, 6, 3, padding=1, norm_cfg=dict(type='BN'), efficient_conv_bn_eval=True), 0),
}


@pytest.mark.filterwarnings('ignore:.*weight_norm.*is deprecated')
@pytest.mark.parametrize('name', WIRINGS)
@torch.no_grad()
def test_folds_by_data_flow(name):
    make, left = WIRINGS[name]
    model, x = randomised(make()), torch.randn(2, 6, 7, 9).abs()
    expected = model(x)
    fused = dicenet_mm.fuse(model)
    assert sum(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in fused.modules()) == left
    torch.testing.assert_close(fused(x), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model(x), expected, rtol=0, atol=0)


@torch.no_grad()
def test_a_scale_that_weights_in_half_cannot_hold_stays_apart():
    """As where a channel has hardly varied, and its mean is taken away."""
    model = nn.Sequential(nn.Conv2d(2, 2, 5, bias=False), nn.BatchNorm2d(2, eps=0.)).eval().half()
    model[0].weight.fill_(0.01)
    model[1].weight.fill_(6e4)
    model[1].running_var.fill_(6e-5)
    x = torch.zeros(1, 2, 6, 6).half()
    expected = model(x)
    assert torch.equal(expected, torch.zeros_like(expected))
    assert torch.equal(dicenet_mm.fuse(model)(x), expected)


LAYERS = {
    'dense convolution': lambda: nn.Conv2d(12, 16, 1, bias=False),
    'strided convolution': lambda: nn.Conv2d(12, 8, 3, 2, 1),
    'grouped convolution': lambda: nn.Conv2d(12, 24, 3, padding=1, groups=4),
    'depth-wise convolution': lambda: nn.Conv2d(12, 12, 3, padding=1, groups=12),
    'linear': lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 5)),
}


@torch.no_grad()
@pytest.mark.parametrize('name', LAYERS)
def test_what_others_read_of_a_layer_stays(name):
    model = nn.Sequential(LAYERS[name]()).eval()
    layer = model[0] if isinstance(model[0], nn.Conv2d) else model[0][2]
    fused = dicenet_mm.fuse(nn.ModuleList([layer]).eval())[0]
    assert type(fused) is not type(layer)
    torch.testing.assert_close(fused.weight, layer.weight)
    torch.testing.assert_close(fused.bias, torch.zeros(len(layer.weight)) if layer.bias is None else layer.bias)
    for attribute in layer.__constants__:
        assert getattr(fused, attribute) == getattr(layer, attribute)
    with pytest.raises(AttributeError, match='nonsense'):
        _ = fused.nonsense


@torch.no_grad()
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('name', ['unit', 'pool', *LAYERS])
def test_half_is_computed_in_float32(name, dtype):
    """Before or after fusing. Knees that half does not hold would make it NaN."""
    model = randomised({'unit': lambda: DiCEUnit(12, 12, (7, 9)), 'pool': lambda: EfficientPyramidPool(12, 8, 6),
                        **LAYERS}[name]()).to(dtype)
    if name == 'unit':
        model.norm.weight[::2] = 1e-6
    x = torch.randn(2, 12, 7, 9, dtype=dtype)
    expected = deepcopy(model).double()(x.double())
    for fused in dicenet_mm.fuse(model), dicenet_mm.fuse(deepcopy(model).float()).to(dtype):
        y = fused(x)
        assert y.dtype == dtype
        torch.testing.assert_close(y.double(), expected, rtol=torch.finfo(dtype).eps, atol=1e-4)
        assert all(tensor.dtype == torch.float32 for tensor in fused.buffers())


@torch.no_grad()
def test_memory_format_of_packed_weights():
    model, x = randomised(EfficientPyramidPool(12, 8, 6)), torch.randn(2, 12, 7, 9)
    fused = dicenet_mm.fuse(model).to(memory_format=torch.channels_last)
    torch.testing.assert_close(fused(x), model(x), rtol=1e-4, atol=1e-5)
