"""Weights by rows, as on CUDA, here on the CPU: packing there and back, and PyTorch's own operators on them."""
from copy import deepcopy

import pytest
import torch
from torch import nn

import dicenet_mm
from dicenet_mm.inference.fused_op import MATRIX, FusedOp
from dicenet_mm.layers import DiCEBlock, EfficientPyramidPool, StridedDiCEBlock, conv_norm_act
from dicenet_mm.models.backbones import DiCENet
from dicenet_mm.ops import backend, rows
from tests.naive import randomised

MODELS = {
    'backbone': lambda: DiCENet(0.2, input_size=64, out_indices=(1, 3, 4)),
    'stage': lambda: nn.Sequential(StridedDiCEBlock(20, (5, 4)), DiCEBlock(40, 52, (5, 4)), DiCEBlock(52, 60, (7, 7))),
    'pyramid pool': lambda: EfficientPyramidPool(20, 12, 5),
    'convolutions': lambda: nn.Sequential(
        conv_norm_act(20, 18, 3, stride=2), conv_norm_act(18, 24, 1), conv_norm_act(24, 24, 3, groups=6),
        conv_norm_act(24, 24, 3, groups=24), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 7)),
}


@pytest.fixture(params=MODELS)
def network(request):
    """A model and its input."""
    model = randomised(MODELS[request.param]()).eval()
    return model, torch.randn(2, 3 if request.param == 'backbone' else 20, 21, 18)


@pytest.fixture
def by_rows(monkeypatch):
    """Moves a model to a device that keeps weights by rows, or back to one that does not."""
    def move(model, there=True):
        monkeypatch.setattr(rows, 'is_kept_on', lambda device: there)
        return model.to('cpu')
    return move


def outputs(model, x):
    with torch.no_grad(), backend('reference'):
        y = model(x)
    return y if isinstance(y, tuple) else (y,)


def buffers(model):
    return [(type(op).__name__, name, tensor.clone()) for op in model.modules() if isinstance(op, FusedOp)
            for name, tensor in op.named_buffers()]


def test_there_and_back(network, by_rows):
    model, x = network
    fused = dicenet_mm.fuse(model)
    before, expected = buffers(fused), outputs(fused, x)
    by_rows(fused)
    layers = [op for op in fused.modules() if isinstance(op, FusedOp)]
    assert any(MATRIX in op._buffers for op in layers)
    assert not any(tensor.dim() == 3 for op in layers for tensor in op.weights if op.operator != 'pyramid_pool')
    for a, b in zip(outputs(fused, x), expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    after = buffers(by_rows(fused, False))
    assert [entry[:2] for entry in after] == [entry[:2] for entry in before]
    assert all(torch.equal(a[2], b[2]) for a, b in zip(after, before))
    for a, b in zip(fused(x) if isinstance(fused(x), tuple) else [fused(x)], expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('first', ['cast', 'fuse'])
def test_half(network, by_rows, dtype, first):
    """Matrices are cast, what half does not hold is not; what goes in and comes out is of half."""
    model, x = network
    expected = outputs(dicenet_mm.fuse(model), x)
    if first == 'cast':
        by_rows(model)
        fused = dicenet_mm.fuse(deepcopy(model).to(dtype))
    else:
        fused = by_rows(dicenet_mm.fuse(model)).to(dtype)
    for name, tensor in fused.named_buffers():
        assert tensor.dtype == (dtype if name.endswith(MATRIX) else torch.float32), name
    for a, b in zip(outputs(fused, x.to(dtype)), expected, strict=True):
        assert a.dtype == dtype
        error = (a.float() - b).norm() / b.norm()
        assert error <= (0.01 if dtype == torch.float16 else 0.06)


def test_a_matrix_that_half_cannot_hold_stays_in_float32(by_rows):
    op = by_rows(FusedOp('point_wise', rows.inference.pack_point(torch.full((4, 3, 1, 1), 1e6), torch.zeros(4),
                                                                 torch.ones(4)))).half()
    assert op.matrix.dtype == torch.float32
    assert op.to(torch.bfloat16).matrix.dtype == torch.bfloat16
