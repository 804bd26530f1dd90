"""Rows of fused layers as one operator."""
import copy
from collections import OrderedDict

import pytest
import torch
from mmcv.cnn import ConvModule, DepthwiseSeparableConvModule
from torch import nn

import dicenet_mm
from dicenet_mm.inference.sequence import FusedLevels, FusedSequence
from dicenet_mm.layers import DiCEBlock, conv_norm_act
from dicenet_mm.models.backbones import DiCENet
from dicenet_mm.ops import library
from tests.naive import randomised

pytestmark = pytest.mark.skipif(not library.LOADED, reason='the compiled operators were not built')
BN = dict(norm_cfg=dict(type='BN'))
ROWS = {
    'head': lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(12, 20, 1, bias=False), nn.Flatten(),
                                  nn.Dropout(0.1), nn.Linear(20, 7)),
    'nested': lambda: nn.Sequential(nn.Conv2d(12, 20, 1),
                                    nn.Sequential(conv_norm_act(20, 12, 1), DiCEBlock(12, 12, (5, 6)))),
    'separable': lambda: DepthwiseSeparableConvModule(12, 20, 3, padding=1, **BN),
    'separable in a row': lambda: nn.Sequential(DepthwiseSeparableConvModule(12, 20, 3, padding=1, **BN),
                                                nn.Conv2d(20, 7, 1)),
    'names': lambda: nn.Sequential(OrderedDict(layers=nn.Conv2d(12, 20, 1), forward_hooks=nn.Conv2d(20, 7, 1))),
    'no activation': lambda: nn.Sequential(ConvModule(12, 20, 1, act_cfg=None, **BN), ConvModule(20, 7, 1)),
}
#: What takes other operators than ours, after which rows begin anew.
MIXED = {
    'after another': lambda: nn.Sequential(nn.Sigmoid(), nn.Sequential(nn.Conv2d(12, 20, 1), nn.Conv2d(20, 7, 1))),
    **{f'pooling {options}': lambda options=options: nn.Sequential(
        nn.AvgPool2d(3, **{'stride': 2, 'padding': 1, **options}), nn.Conv2d(12, 20, 1))
       for options in (dict(stride=1), dict(padding=0), dict(ceil_mode=True), dict(count_include_pad=False),
                       dict(divisor_override=5))},
    'other pooling': lambda: nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Conv2d(12, 20, 1), nn.Flatten(2)),
    'own forward': lambda: Residual(nn.Conv2d(12, 12, 1), nn.Conv2d(12, 12, 1)),
}


class Residual(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


@pytest.mark.parametrize('name', ROWS | MIXED)
def test_same_outputs(name):
    model, x = randomised((ROWS | MIXED)[name]()), torch.randn(3, 12, 5, 6)
    fused = dicenet_mm.fuse(model)
    assert (type(fused) is FusedSequence) == (name in ROWS)
    if name == 'after another':
        assert type(fused[1]) is FusedSequence
    with torch.no_grad():
        torch.testing.assert_close(fused(x), model(x), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(fused(x.clone().requires_grad_()), model(x), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(copy.deepcopy(fused).double()(x.double()), copy.deepcopy(model).double()(x.double()),
                               rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_rows_can_be_indexed_sliced_and_iterated():
    model, x = randomised(ROWS['head']()), torch.randn(3, 12, 5, 6)
    fused = dicenet_mm.fuse(model)
    y = x
    for layer in fused:
        y = layer(y)
    torch.testing.assert_close(y, model(x), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(fused[1:](fused[0](x)), model(x), rtol=1e-4, atol=1e-5)
    assert torch.equal(fused[3:4](x), x) and torch.equal(fused[:0](x), x)


@torch.no_grad()
@pytest.mark.parametrize('out_indices', [(4,), (1, 3), (0, 1), (0, 2, 4)])
def test_backbones_return_the_maps_that_were_asked_for(out_indices):
    model, x = randomised(DiCENet(0.1, input_size=64, out_indices=out_indices)), torch.randn(2, 3, 64, 64)
    fused = dicenet_mm.fuse(model)
    assert type(fused) is FusedLevels and fused.out_channels == model.out_channels
    torch.testing.assert_close(fused[:2](x), fused.pool(fused.stem(x)))
    for levels in fused, copy.deepcopy(fused).double():
        maps = levels(x.to(next(levels.buffers()).dtype))
        assert len(maps) == len(out_indices)
        for got, expected in zip(maps, model(x), strict=True):
            assert (got - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_weights_that_are_loaded_later_count():
    first, second = (dicenet_mm.fuse(randomised(ROWS['head']())) for _ in range(2))
    x = torch.randn(3, 12, 5, 6)
    with torch.no_grad():
        assert not torch.equal(first(x), second(x))
        second.load_state_dict(first.state_dict())
        assert torch.equal(first(x), second(x))


@pytest.mark.parametrize('change,message', [
    (dict(operators='max_pool conv'), 'no layer of a sequence is called conv'),
    (dict(counts=[0]), 'max_pool comes without its counts'),
    (dict(counts=[1, 0]), 'max_pool takes 1 tensors and 0 numbers, but 0 and 0 are left'),
    (dict(counts=[0, -1]), 'are left'),
    (dict(operators='spatial_conv'), 'takes one tensor, got 0'),
    (dict(operators='dice_unit', weights=[torch.ones(3)], counts=[1, 0]), 'four sizes'),
    (dict(operators='dice_stage', weights=[torch.ones(3)], counts=[1, 0]), 'lacks its sizes'),
    (dict(operators='grouped_conv'), 'got none'),
    (dict(kept=[1]), 'kept must name layers'),
    (dict(operators='max_pool max_pool', counts=[0, 0, 0, 0], kept=[1, 0]), 'kept must name layers'),
])
def test_refuses_what_does_not_fit(change, message):
    args = dict(operators='max_pool', weights=[], counts=[0, 0], numbers=[], kept=[0])
    with pytest.raises(RuntimeError, match=message):
        torch.ops.dicenet_mm.sequence(torch.randn(1, 3, 4, 4), **args | change)


@pytest.mark.parametrize('name', ['strided_conv', 'strided_conv_pool'])
def test_refuses_layers_without_weights(name):
    with pytest.raises(RuntimeError):
        getattr(torch.ops.dicenet_mm, name)(torch.randn(1, 3, 4, 4), [])


def test_a_linear_layer_refuses_a_number():
    with pytest.raises(RuntimeError, match='one dimension'), torch.no_grad():
        dicenet_mm.fuse(nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1)).eval())(torch.tensor(1.))
