"""EESP against naive loops in float64, and what it refuses."""
import numpy as np
import pytest
import torch
from torch import nn

from dicenet_mm.layers import EESP, EESPBlock, StridedEESPBlock
from tests.naive import average_pool, batch_norm, conv, prelu, randomised


def eesp(module, x, dilations, stride):
    """The unit by its definition, on (C, H, W) arrays."""
    groups = len(dilations)
    y = conv_norm(module.reduce, x, groups=groups)
    y = prelu(y, module.reduce[2])
    outs = []
    for branch, dilation in zip(module.branches, dilations):
        out = conv(y, branch.weight, stride=stride, dilation=dilation, groups=len(y))
        outs.append(out + outs[-1] if outs else out)
    y = prelu(batch_norm(np.concatenate(outs), module.norm_act[0]), module.norm_act[1])
    return conv_norm(module.expand, y, groups=groups)


def conv_norm(layers, x, **geometry):
    return batch_norm(conv(x, layers[0].weight, **geometry), layers[1])


@pytest.fixture(params=[(1, 1, 1, 2), (1, 1, 2, 3), (1, 2, 3, 4)])
def dilations(request):
    return request.param


@pytest.mark.parametrize('size', [(7, 5), (4, 6), (1, 1)])
def test_block(dilations, size):
    block = randomised(EESPBlock(16, dilations)).double()
    x = torch.randn(2, 16, *size, dtype=torch.float64)
    for image, out in zip(x.numpy(), block(x).detach().numpy()):
        np.testing.assert_allclose(out, prelu(image + eesp(block.eesp, image, dilations, 1), block.act), atol=1e-12)


@pytest.mark.parametrize('size', [(7, 5), (4, 6)])
def test_strided_block(dilations, size):
    block = randomised(StridedEESPBlock(8, 24, dilations)).double()
    x = torch.randn(8, *size, dtype=torch.float64)
    image = torch.randn(3, *((side + 1) // 2 for side in size), dtype=torch.float64)
    first = block.shortcut[0]
    reinforced = prelu(conv_norm(first, image.numpy()), first[2])
    expected = np.concatenate((average_pool(x.numpy()), eesp(block.eesp, x.numpy(), dilations, 2)))
    expected = prelu(expected + conv_norm(block.shortcut[1], reinforced), block.act)
    np.testing.assert_allclose(block(x[None], image[None])[0].detach().numpy(), expected, atol=1e-12)


def test_strided_block_without_the_image():
    block = StridedEESPBlock(8, 24, (1, 2, 3, 4), image_channels=0)
    assert block.shortcut is None and block(torch.rand(2, 8, 9, 5)).shape == (2, 24, 5, 3)


def test_parameters_are_those_of_the_definition():
    """reduce 32 * 32 / 4, four depth-wise 3x3 of 8, expand 32 * 32 / 4; affine and slopes of 8, 32 and 32 channels."""
    parameters = sum(p.numel() for p in EESP(32, 32, (1, 2, 3, 4)).parameters())
    assert parameters == 32 * 8 // 4 + 4 * 8 * 9 + 32 * 32 // 4 + (2 + 1) * 8 + (2 + 1) * 32 + 2 * 32


def test_gradients():
    block = EESPBlock(16, (1, 1, 1, 2), norm_layer=nn.Identity).double()
    x = torch.randn(1, 16, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(block, x)
