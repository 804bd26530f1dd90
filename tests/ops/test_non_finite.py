"""NaN and infinity in fused layers: where PyTorch has them, and what differs as docs/fused_operator.md says."""
import math

import pytest
import torch

import dicenet_mm
from dicenet_mm.layers import UpsampleAdd
from dicenet_mm.ops import backend, dim_conv
from tests.naive import randomised

from .test_inference import LAYERS

#: Layers in which an infinity reaches more voxels than in PyTorch: gates are means, and 0 x infinity is NaN.
WIDER = {'gated', 'ConvModule'}
CASES = {**LAYERS, 'enlarged and added': (lambda: UpsampleAdd(19), 19)}


def both(name, value, place=(0, None, 3, 2), size=(7, 9)):
    """Voxels that are not finite, (N, C, H, W) bool: those of the fused layer, and those of PyTorch's operators."""
    make, channels = CASES[name]
    layer, x = randomised(make()), torch.randn(2, channels, *size)
    x[place[0], channels // 2, place[2], place[3]] = value
    args = (x, torch.randn(2, channels, 2 * size[0], 2 * size[1] - 1)) if name == 'enlarged and added' else (x, )
    with torch.no_grad():
        got = dicenet_mm.fuse(layer)(*args)
        with backend('reference'):
            expected = layer(*args)
    assert got.shape == expected.shape
    return ~got.isfinite(), ~expected.isfinite()


@pytest.mark.parametrize('name', sorted(CASES.keys() - {'max pool'}))
@pytest.mark.parametrize('size', [(7, 9), (12, 5)])
def test_nan_in_the_input_reaches_the_same_voxels(name, size):
    got, expected = both(name, math.nan, size=size)
    assert torch.equal(got, expected) and expected.any()
    assert not got[1].any()  # of the other image


@pytest.mark.parametrize('name', sorted(CASES))
@pytest.mark.parametrize('value', [math.inf, -math.inf])
def test_infinity_in_the_input_is_not_lost(name, value):
    got, expected = both(name, value)
    assert not (expected & ~got).any() and not got[1].any()
    if name not in WIDER:
        assert torch.equal(got, expected)


def test_a_maximum_passes_by_nan():
    """PyTorch's is NaN; ours is that of the numbers."""
    layer = torch.nn.MaxPool2d(3, stride=2, padding=1)
    x = torch.arange(25.).view(1, 1, 5, 5)
    x[0, 0, 2, 2] = math.nan
    assert dicenet_mm.fuse(layer.eval())(x).flatten().tolist() == [6, 8, 9, 16, 18, 19, 21, 23, 24]
    assert layer(x).isnan().sum() == 1


@pytest.mark.parametrize('value', [math.nan, math.inf])
@pytest.mark.parametrize('sizes', [(7, 9), (5, 12)])
@pytest.mark.parametrize('kernel', [0, 1, 2])
def test_non_finite_weights_are_not_lost(value, sizes, kernel):
    """They also reach the rim, where PyTorch leaves the zeros of the padding out."""
    x = torch.randn(2, 6, 7, 9)
    kernels = [torch.randn(count, 3, 3) for count in (6, *sizes)]
    kernels[kernel][2, 0, 2] = value
    got = dim_conv(x, *kernels)
    with backend('reference'):
        expected = dim_conv(x, *kernels)
    assert not (~expected.isfinite() & got.isfinite()).any() and not expected.isfinite().all()
    others = [branch for branch in range(3) if branch != kernel]
    assert got.unflatten(1, (6, 3))[:, :, others].isfinite().all()


@pytest.mark.parametrize('name', sorted(CASES.keys() - {'enlarged and added'}))
def test_denormals_are_as_in_pytorch(name):
    make, channels = CASES[name]
    layer, x = randomised(make()), torch.full((2, channels, 7, 9), 1e-42)
    with torch.no_grad():
        got = dicenet_mm.fuse(layer)(x)
        expected = layer.double()(x.double())
    assert (got - expected).abs().max() <= 1e-5 * expected.abs().max().clamp(min=1e-35)
