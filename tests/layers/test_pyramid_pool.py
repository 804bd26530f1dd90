"""The decoder's layers against naive loops in float64."""
import math

import numpy as np
import pytest
import torch

from dicenet_mm.layers import EfficientPointWise, EfficientPyramidPool
from dicenet_mm.layers.pyramid_pool import resize
from tests.naive import batch_norm, conv, prelu, randomised
from tests.naive import resize as naive_resize


def cbr(layers, x, groups=1):
    return prelu(batch_norm(conv(x, layers[0].weight, groups=groups), layers[1]), layers[2])


def pyramid_pool(module, x, scales):
    x = cbr(module.project, x)
    outs = []
    for scale, branch in zip(scales, module.branches):
        size = [max(math.ceil(side * scale), 5) for side in x.shape[1:]]
        outs.append(naive_resize(conv(naive_resize(x, size), branch.weight, groups=len(x)), x.shape[1:]))
    y = prelu(batch_norm(np.concatenate(outs), module.norm_act[0]), module.norm_act[1])
    shuffled = np.concatenate([y[channel::len(x)] for channel in range(len(x))])  # a channel's scales side by side
    return cbr(module.merge, shuffled, groups=len(x))


@pytest.mark.parametrize('size', [(12, 9), (6, 7), (3, 11), (1, 1), (23, 4)])
def test_pyramid_pool(size):
    """Also maps of less than 5 px, where a branch enlarges one axis and shrinks the other."""
    pool = randomised(EfficientPyramidPool(6, 3, 8)).double()
    x = torch.randn(6, *size, dtype=torch.float64)
    expected = cbr(pool.out, pyramid_pool(pool, x.numpy(), (2.0, 1.5, 1.0, 0.5, 0.1)))
    np.testing.assert_allclose(pool(x[None])[0].detach().numpy(), expected, atol=1e-12)


def test_last_pyramid_pool_has_a_bias_instead():
    pool = randomised(EfficientPyramidPool(6, 3, 8, is_last=True)).double()
    x = torch.randn(6, 6, 7, dtype=torch.float64)
    expected = conv(pyramid_pool(pool, x.numpy(), (2.0, 1.5, 1.0, 0.5, 0.1)), pool.out.weight, pool.out.bias)
    np.testing.assert_allclose(pool(x[None])[0].detach().numpy(), expected, atol=1e-12)


@pytest.mark.parametrize('channels', [(6, 8), (6, 6), (4, 9)])
def test_point_wise(channels):
    layer = randomised(EfficientPointWise(*channels)).double()
    x = torch.randn(channels[0], 5, 4, dtype=torch.float64)
    mean = x.numpy().mean((1, 2))
    gate = 1 / (1 + np.exp(-layer.gate[1].weight[..., 0, 0].detach().numpy() @ mean))
    expected = cbr(layer.expand, x.numpy(), groups=math.gcd(*channels)) * gate[:, None, None]
    np.testing.assert_allclose(layer(x[None])[0].detach().numpy(), expected, atol=1e-12)


@pytest.mark.parametrize('size', [(12, 9), (24, 18), (24, 9), (24, 3), (5, 5), (7, 20), (1, 1)])
def test_resize(size):
    x = torch.randn(2, 12, 9, dtype=torch.float64)
    np.testing.assert_allclose(resize(x[None], size)[0].numpy(), naive_resize(x.numpy(), size), atol=1e-12)


def test_resize_to_the_same_size_copies_nothing():
    x = torch.rand(1, 2, 3, 4)
    assert resize(x, (3, 4)) is x
