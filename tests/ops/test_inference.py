"""Operators of inference against the layers that they stand for, and as operators of PyTorch."""
import copy

import pytest
import torch
from dicenet_mm.ops import library
from mmcv.cnn import ConvModule
from torch import nn

import dicenet_mm
from dicenet_mm.layers import DiCEBlock, DiCEUnit, StridedDiCEBlock, conv_norm_act
from dicenet_mm.layers.fused import FusedDiCEStage, FusedDiCEUnit, FusedLinear
from tests.test_fuse import randomised

SIZES = [(7, 7), (28, 28), (1, 1), (5, 33), (6, 49)]
LAYERS = {
    'point-wise': (lambda: conv_norm_act(19, 13, 1), 19),
    'strided': (lambda: conv_norm_act(3, 13, 3, stride=2), 3),
    'depth-wise': (lambda: conv_norm_act(19, 19, 3, groups=19), 19),
    'max pool': (lambda: nn.MaxPool2d(3, stride=2, padding=1), 19),
    'ConvModule': (lambda: ConvModule(19, 13, 1, norm_cfg=dict(type='BN'), act_cfg=dict(type='ReLU')), 19),
    'bare': (lambda: nn.Conv2d(19, 13, 1), 19),
    'grouped': (lambda: nn.Conv2d(54, 21, 1, groups=3), 54),
    'unit': (lambda: DiCEUnit(37, 37, (7, 9)), 37),
    'block': (lambda: DiCEBlock(14, 22, (7, 9)), 14),
    'strided block': (lambda: StridedDiCEBlock(10, (4, 5)), 10),
    'stage': (lambda: nn.Sequential(StridedDiCEBlock(10, (4, 5)), DiCEBlock(20, 26, (4, 5)), DiCEBlock(26, 26, (4, 5))),
              10),
}


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('name', LAYERS)
@pytest.mark.parametrize('threads', [1, 2])
def test_same_as_the_layer(name, size, threads):
    make, channels = LAYERS[name]
    layer = randomised(make())
    x = torch.randn(2, channels, *size)
    torch.set_num_threads(threads)
    try:
        with torch.no_grad():
            got, again = dicenet_mm.fuse(layer)(x), dicenet_mm.fuse(layer)(x)
    finally:
        torch.set_num_threads(1)
    expected = layer.double()(x.double())
    assert (got - expected).abs().max() <= 1e-5 * expected.abs().max().clamp(min=1e-2)
    assert torch.equal(got, again)


@pytest.mark.parametrize('shape', [(37,), (1, 37), (5, 37), (2, 3, 37), (0, 37)])
def test_linear_layer(shape):
    linear, x = nn.Linear(37, 21).eval(), torch.randn(shape)
    fused = dicenet_mm.fuse(nn.Sequential(linear).eval())
    assert not library.LOADED or type(fused[0]) is FusedLinear
    torch.testing.assert_close(fused(x), linear(x), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(fused.double()(x.double()), linear.double()(x.double()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('scale', [0., -1., 1e-30, 1e-6])
def test_any_scale_of_the_normalisation(scale):
    unit = randomised(DiCEUnit(12, 12, (7, 9)))
    nn.init.constant_(unit.norm.weight, scale)
    unit.norm.weight.data[::2] = 0.7
    x = torch.randn(1, 12, 7, 9)
    with torch.no_grad():
        got, expected = dicenet_mm.fuse(unit)(x), unit.double()(x.double())
    assert (got - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize('name', LAYERS)
def test_other_dtypes_and_gradients_of_the_input_still_work(name):
    make, channels = LAYERS[name]
    layer = randomised(make())
    fused, x = dicenet_mm.fuse(layer), torch.randn(1, channels, 7, 9)
    expected = layer.double()(x.double())
    torch.testing.assert_close(copy.deepcopy(fused).double()(x.double()), expected, rtol=1e-4, atol=1e-5)
    grad, = torch.autograd.grad(fused(x.requires_grad_()).sum(), x)
    reference, = torch.autograd.grad(layer(y := x.detach().double().requires_grad_()).sum(), y)
    torch.testing.assert_close(grad.double(), reference, rtol=1e-3, atol=1e-3)


@pytest.mark.skipif(not library.LOADED, reason='the compiled operators were not built')
def test_compiles_without_a_graph_break():
    fused, x = dicenet_mm.fuse(randomised(StridedDiCEBlock(10, (4, 5)))), torch.randn(1, 10, 7, 9)
    with torch.no_grad():
        torch.testing.assert_close(torch.compile(fused, fullgraph=True, backend='aot_eager')(x), fused(x))
        exported = torch.export.export(fused, (x,)).module()
        assert torch.equal(exported(x), fused(x))


@pytest.mark.skipif(not library.LOADED, reason='the compiled operators were not built')
def test_opcheck():
    fused = dicenet_mm.fuse(randomised(DiCEUnit(8, 8, (4, 5))))
    assert isinstance(fused, FusedDiCEUnit)
    ops = torch.ops.dicenet_mm
    torch.library.opcheck(ops.dice_unit, (torch.randn(2, 8, 7, 9), fused.pack('unit')))
    block = dicenet_mm.fuse(randomised(DiCEBlock(14, 22, (7, 9))))
    torch.library.opcheck(ops.dice_block, (torch.randn(2, 14, 7, 9), block.pack('point'), block.pack('unit')))
    strided = dicenet_mm.fuse(randomised(StridedDiCEBlock(10, (4, 5))))
    packs = (*strided.pack('left'), strided.pack('left_point'), strided.pack('unit'), strided.pack('right_point'))
    torch.library.opcheck(ops.strided_dice_block, (torch.randn(2, 10, 7, 9), *packs))
    stage = dicenet_mm.fuse(randomised(LAYERS['stage'][0]()))
    assert isinstance(stage, FusedDiCEStage)
    torch.library.opcheck(ops.dice_stage, (torch.randn(2, 10, 7, 9), stage.pack('strided'), stage.pack('blocks')))
    torch.library.opcheck(ops.point_wise, (torch.randn(2, 7, 3, 3), block.pack('point')))
    torch.library.opcheck(ops.max_pool, (torch.randn(2, 7, 3, 3),))
    torch.library.opcheck(ops.spatial_conv, (torch.randn(2, 10, 3, 3), *strided.pack('left')))
