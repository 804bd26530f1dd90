"""Operators of inference against the layers that they stand for, and as operators of PyTorch."""
import copy

import pytest
import torch
from mmcv.cnn import ConvModule
from torch import nn

import dicenet_mm
from dicenet_mm.layers import (
    DiCEBlock,
    DiCEUnit,
    EfficientPointWise,
    EfficientPyramidPool,
    StridedDiCEBlock,
    UpsampleAdd,
    conv_norm_act,
)
from dicenet_mm.ops import library
from tests.naive import randomised

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
    '3x3 in groups': (lambda: conv_norm_act(21, 15, 3, groups=3), 21),
    'gated': (lambda: EfficientPointWise(21, 15), 21),
    'average pool': (lambda: nn.AvgPool2d(3, stride=2, padding=1), 19),
    'global average pool': (lambda: nn.AdaptiveAvgPool2d(1), 19),
    'pyramid pool': (lambda: EfficientPyramidPool(19, 5, 13), 19),
    'last pyramid pool': (lambda: EfficientPyramidPool(19, 5, 13, is_last=True), 19),
}
ANY_CHANNELS = 'max pool', 'average pool', 'global average pool'


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


@pytest.mark.parametrize('sizes', [((7, 9), (13, 18)), ((1, 1), (1, 2)), ((3, 20), (3, 20)), ((24, 40), (48, 79))])
def test_enlarged_and_added(sizes, instruction_set):
    layer, (coarse, fine) = randomised(UpsampleAdd(19)), (torch.randn(2, 19, *size) for size in sizes)
    fused = dicenet_mm.fuse(layer)
    with torch.no_grad():
        got, expected = fused(coarse, fine), layer.double()(coarse.double(), fine.double())
    assert (got - expected).abs().max() <= 1e-5 * expected.abs().max()
    torch.testing.assert_close(fused.double()(coarse.double(), fine.double()), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(not library.LOADED, reason='the compiled operators were not built')
@pytest.mark.parametrize('coarse,message', [((3, 19, 4, 5), 'as many images'), ((2, 19, 9, 5), 'no larger'),
                                            ((2, 18, 4, 5), 'shape')])
def test_refuses_maps_that_do_not_go_together(coarse, message):
    with pytest.raises(RuntimeError, match=message):
        torch.ops.dicenet_mm.upsample_add(torch.randn(coarse), torch.randn(2, 19, 8, 10), torch.randn(19, 3))


@pytest.mark.skipif(not library.LOADED, reason='the compiled operators were not built')
@torch.no_grad()
@pytest.mark.parametrize('name', ['3x3 in groups', 'gated', 'pyramid pool', 'enlarged and added'])
@pytest.mark.parametrize('threads', [1, 2, 3])
def test_scratch_memory_reaches_no_result(name, threads):
    """What other images left in it neither, and the bits are those of one thread."""
    make, channels = {**LAYERS, 'enlarged and added': (lambda: UpsampleAdd(19), 19)}[name]
    fused, x = dicenet_mm.fuse(randomised(make())), torch.randn(3, channels, 7, 9)
    args = (x[..., :4, :5], x) if name == 'enlarged and added' else (x,)
    expected = fused(*args)
    torch.set_num_threads(threads)
    try:
        large = torch.full((3, channels, 40, 40), torch.nan)
        fused(large, large) if len(args) > 1 else fused(large)
        assert torch.equal(fused(*args), expected) and expected.isfinite().all()
        laid_out = [arg.to(memory_format=torch.channels_last) for arg in args]
        assert torch.equal(fused(*laid_out), expected)
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize('name', ['3x3 in groups', 'gated', 'pyramid pool', 'average pool', 'global average pool'])
def test_other_instruction_sets(name, instruction_set):
    make, channels = LAYERS[name]
    layer = randomised(make())
    x = torch.randn(2, channels, 23, 37)
    with torch.no_grad():
        got, expected = dicenet_mm.fuse(layer)(x), layer.double()(x.double())
    assert (got - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize('size', [(7, 9), (10, 10), (3, 20), (1, 1), (1, 7), (8, 1)])
@pytest.mark.parametrize('name', ['unit', 'block', 'strided block', 'stage'])
def test_batches_of_small_maps(name, size, instruction_set):
    """16 images fill the lanes of any instruction set; those left over go alone."""
    make, channels = LAYERS[name]
    layer = randomised(make())
    fused, x = dicenet_mm.fuse(layer), torch.randn(33, channels, *size)
    batches = x, x[:17], x[:16]
    with torch.no_grad():
        first = [fused(batch) for batch in batches]
        torch.set_num_threads(2)
        try:
            others = [fused(batch) for batch in batches]
        finally:
            torch.set_num_threads(1)
        poisoned = fused(torch.where(torch.arange(33)[:, None, None, None] % 7 == 5, torch.nan, x))
        again = fused(x)
        expected = layer.double()(x.double())
    healthy = torch.arange(33) % 7 != 5
    assert torch.equal(poisoned[healthy], first[0][healthy])  # whatever the other lanes hold,
    assert torch.equal(again, first[0])  # and whatever they left in memory
    for got, other in zip(first, others):
        assert (got - expected[:len(got)]).abs().max() <= 1e-5 * expected.abs().max().clamp(min=1e-2)
        assert torch.equal(got, other)


@pytest.mark.parametrize('shape', [(37,), (1, 37), (5, 37), (2, 3, 37), (0, 37)])
def test_linear_layer(shape):
    linear, x = nn.Linear(37, 21).eval(), torch.randn(shape)
    fused = dicenet_mm.fuse(nn.Sequential(linear).eval())
    assert not library.LOADED or fused[0].operator == 'linear'
    torch.testing.assert_close(fused(x), linear(x), rtol=1e-4, atol=1e-5)
    assert torch.equal(fused[0].weight, linear.weight) and torch.equal(fused[0].bias, linear.bias)
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


@pytest.mark.parametrize('scale', [10., 1e3, 1e6])
def test_gates_far_from_a_half(scale):
    unit = randomised(DiCEUnit(37, 37, (7, 7)))
    for layer in unit.dim_fuse.gate[1], unit.dim_fuse.gate[3]:
        layer.weight.data.mul_(scale)
    x = torch.randn(2, 37, 7, 7)
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
@pytest.mark.parametrize('name', sorted(LAYERS.keys() - set(ANY_CHANNELS)))
@pytest.mark.parametrize('change', [-2, -1, 1, 2])
def test_refuses_other_channels_than_the_layer_was_made_for(name, change):
    """Kernels would read and write beyond their memory."""
    make, channels = LAYERS[name]
    fused = dicenet_mm.fuse(randomised(make()))
    with pytest.raises(RuntimeError, match=rf'\b{channels}\b'), torch.no_grad():
        fused(torch.randn(1, channels + change, 5, 6))


@pytest.mark.parametrize('name', sorted(LAYERS.keys() - {'global average pool'}))  # PyTorch's gives NaN
@pytest.mark.parametrize('shape', [(2, 0), (0, 2)])
def test_refuses_maps_without_voxels(name, shape):
    make, channels = LAYERS[name]
    for layer in (randomised(make()), dicenet_mm.fuse(randomised(make()))):
        with pytest.raises((RuntimeError, ValueError)), torch.no_grad():
            layer(torch.randn(1, channels, *shape))


@pytest.mark.parametrize('name', LAYERS)
def test_empty_batch(name):
    make, channels = LAYERS[name]
    layer, x = randomised(make()), torch.randn(0, channels, 7, 9)
    with torch.no_grad():
        assert dicenet_mm.fuse(layer)(x).shape == layer(x).shape


@pytest.mark.parametrize('change,message', [
    (lambda weights, strided, sizes: (weights[:-16], strided, sizes), '16 elements less'),
    (lambda weights, strided, sizes: (weights, strided, sizes[:-1]), '5 of each block'),
    (lambda weights, strided, sizes: (weights, strided, [*sizes[:-1], 0]), 'not positive'),
    (lambda weights, strided, sizes: (weights, strided, [4, 15, *sizes[2:]]), 'odd number of channels'),
])
def test_refuses_sizes_that_do_not_fit_the_weights_of_a_stage(change, message):
    """The kernels would read beyond them."""
    stage = dicenet_mm.fuse(nn.Sequential(StridedDiCEBlock(8, (4, 5)), DiCEBlock(16, 16, (4, 5))).eval())
    args = change(*stage.weights, bool(stage.sizes[0]), stage.sizes[1:])
    channels = args[2][0]
    with pytest.raises(RuntimeError, match=message):
        torch.ops.dicenet_mm.dice_stage(torch.randn(1, channels, 8, 10), *args)
