"""Autocast to bfloat16, forward and backward."""

import pytest
import torch

import dicenet_mm
from dicenet_mm.models.backbones import DiCENet
from dicenet_mm.ops import backend
from tests.naive import randomised


def step(model, x, dtype=None):
    """Outputs and gradients, all as one vector each in double precision."""
    model.zero_grad()
    with torch.autocast('cpu', torch.bfloat16, enabled=dtype is None):
        outs = model(x)
    assert all(out.dtype == (dtype or torch.bfloat16) for out in outs)
    sum(out.to(dtype or torch.float32).square().mean() for out in outs).backward()
    grads = [p.grad for p in model.parameters()]
    assert all(grad.dtype == (dtype or torch.float32) for grad in grads)
    return torch.cat([t.detach().double().flatten() for t in outs]), torch.cat([g.double().flatten() for g in grads])


@pytest.mark.parametrize('training,out_indices', [(False, (2, 3, 4)), (True, (2,))])
@pytest.mark.parametrize('size', [(64, 64), (75, 96)])
def test_backbone_is_as_exact_as_in_plain_pytorch(size, training, out_indices):
    """Batch statistics of few values amplify rounding from layer to layer, so with these fewer are compared."""
    model = randomised(DiCENet(0.2, input_size=64, out_indices=out_indices)).train(training)
    x = torch.randn(4, 3, *size)
    got = step(model, x)
    with backend('reference'):
        plain = step(model, x)
        expected = step(model.double(), x.double(), torch.float64)
    for a, b, truth in zip(got, plain, expected):
        error, plain_error = (a - truth).norm() / truth.norm(), (b - truth).norm() / truth.norm()
        assert plain_error < (0.2 if training else 0.01)
        assert error < 1.5 * plain_error


def test_fused_copy_under_autocast():
    model, x = randomised(DiCENet(0.2, input_size=64)), torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = model(x)
        with torch.autocast('cpu', torch.bfloat16):
            got = dicenet_mm.fuse(model)(x)
    for a, b in zip(got, expected):
        assert a.shape == b.shape and (a - b).norm() <= 0.05 * b.norm()
