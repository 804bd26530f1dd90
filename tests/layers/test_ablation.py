"""The units and blocks of the paper's ablations: counts by hand, torchvision's ShuffleNetV2, invariants."""
from math import gcd

import pytest
import torch
from torch import nn
from torch.nn import functional
from torchvision.models.shufflenetv2 import InvertedResidual

from dicenet_mm.layers import (
    FIRST_LAYERS,
    UNITS,
    BottleneckBlock,
    DiCEBlock,
    DiCEUnit,
    DimFuse,
    make_first_layer,
    make_shuffle_block,
    make_unit,
)
from tests.complexity import complexity

SIDE = 14


def test_there_are_eight_units():
    assert len(UNITS) == 8 == len(set(UNITS)) and {'dwise+pointwise', 'dimconv+dimfuse'} < set(UNITS)


@pytest.mark.parametrize('name', UNITS)
@pytest.mark.parametrize('out_channels,stride', [(24, 1), (24, 2), (32, 2)])
def test_unit_counts(name, out_channels, stride):
    """Multiply-adds by hand: per voxel, and once for the gates."""
    channels, voxels = 24, (SIDE // stride)**2
    conv, _, fusion = name.partition('+')
    responses = dict(dwise=1, dimconv=3)[conv]
    expected = 9 * responses * channels * voxels
    squeeze = 2 * out_channels * (out_channels // 4)
    if fusion == 'dimfuse':
        local = 3 * channels if responses == 3 else 0
        expected += (local + 9 * channels * out_channels // gcd(channels, out_channels)) * voxels
        expected += (channels + out_channels) * (channels // 4)
    elif fusion == 'SE':
        both = responses * channels, out_channels
        expected += squeeze + (both[0] * both[1] // gcd(*both) * voxels if both[0] != both[1] else 0)
    else:
        expected += responses * channels * out_channels * voxels + (squeeze if fusion == 'pointwise+SE' else 0)
    with torch.device('meta'):
        unit = nn.Sequential(nn.Conv2d(3, channels, 1, bias=False),
                             make_unit(name, channels, out_channels, (SIDE // stride,) * 2, stride)).eval()
    macs, _ = complexity(unit, SIDE)
    assert round(macs * 1e6) == expected + 3 * channels * SIDE**2


@pytest.mark.parametrize('name', UNITS)
@pytest.mark.parametrize('stride', [1, 2])
def test_units_train(name, stride):
    unit = make_unit(name, 16, 24, (8, 6), stride)
    x = torch.randn(2, 16, 13, 9, requires_grad=True)
    y = unit(x)
    assert y.shape == (2, 24, 13, 9) if stride == 1 else (2, 24, 7, 5)
    (y * torch.randn_like(y)).sum().backward()
    assert x.grad.abs().sum() > 0 and all(p.grad is not None for p in unit.parameters())


def test_the_dice_unit_is_one_of_them():
    """With an average pool before it where it strides, as in the strided DiCE unit."""
    torch.manual_seed(1)
    strided = make_unit('dimconv+dimfuse', 8, 16, (5, 5), 2)
    torch.manual_seed(1)
    unit = DiCEUnit(8, 16, (5, 5))
    x = torch.randn(2, 8, 10, 10)
    torch.testing.assert_close(strided(x), unit(functional.avg_pool2d(x, 3, stride=2, padding=1)))


@pytest.mark.parametrize('fusion', ['pointwise', 'pointwise+SE', 'SE', 'dimfuse'])
def test_dimconv_without_height_and_width_is_depth_wise(fusion):
    """Where those kernels are zero, and the fusion takes the depth response alone, both convolutions give the same."""
    wide, narrow = (make_unit(f'{conv}+{fusion}', 8, 8, (6, 6)).eval() for conv in ('dimconv', 'dwise'))
    if fusion == 'dimfuse':
        conv, fuse, other = wide[0].dim_conv, wide[0].dim_fuse, narrow[1]
        other.spatial.load_state_dict(fuse.spatial.state_dict())
        other.gate.load_state_dict(fuse.gate.state_dict())
        join = fuse.local
    else:
        conv = wide[0]
        join = wide[3]
        if fusion != 'SE':
            narrow[1].load_state_dict({**join.state_dict(), '0.weight': join[0].weight[:, ::3]})
        if fusion != 'pointwise':
            narrow[-1].load_state_dict(wide[-1].state_dict())
    with torch.no_grad():
        conv.height_weight.zero_()
        conv.width_weight.zero_()
        narrow[0][0].weight.copy_(conv.depth_weight[:, None])
        if fusion in ('dimfuse', 'SE'):  # a local fusion that changes nothing
            join[0].weight.copy_(torch.tensor([1., 0., 0.]).view(1, 3, 1, 1).expand_as(join[0].weight))
            join[1].eps = 0
            nn.init.ones_(join[2].weight)
    x = torch.randn(2, 8, 6, 6)
    torch.testing.assert_close(wide(x), narrow(x))


def test_global_fusion_alone():
    """DimFuse of one response: the grouped 3x3 convolution times the gate, written out."""
    fuse = DimFuse(8, 12, responses=1).eval()
    x = torch.randn(2, 8, 5, 5)
    _, first, _, second, _ = fuse.gate
    mean = x.mean((2, 3))
    gate = torch.sigmoid(functional.relu(mean @ first.weight[:, :, 0, 0].T) @ second.weight[:, :, 0, 0].T)
    spatial = functional.conv2d(x, fuse.spatial[0].weight, padding=1, groups=4) / (1 + 1e-5)**0.5
    expected = functional.prelu(spatial, fuse.spatial[2].weight) * gate[..., None, None]
    torch.testing.assert_close(fuse(x), expected)
    assert make_first_layer('dimfuse', 8, 12).local(x) is x


@pytest.mark.parametrize('stride', [1, 2])
def test_shuffle_block_is_torchvisions(stride):
    """With separable convolutions: the same counts as the block of ShuffleNetV2 that torchvision has."""
    with torch.device('meta'):
        peer = InvertedResidual(24 if stride == 2 else 32, 32, stride)
        block = make_shuffle_block(24 if stride == 2 else 32, 32, (SIDE, SIDE), stride, unit='dwise+pointwise')
        for model in (peer, block):
            for module in list(model.modules()):  # ours has a PReLU after every convolution
                for name, child in list(module.named_children()):
                    if isinstance(child, nn.PReLU | nn.ReLU):
                        setattr(module, name, nn.Identity())
        (macs, parameters), (peer_macs, peer_parameters) = (
            complexity(nn.Sequential(nn.Conv2d(3, 24 if stride == 2 else 32, 1), model).eval(), SIDE)
            for model in (block, peer))
    assert (macs, parameters) == (peer_macs, peer_parameters)


def test_shuffle_block_with_the_dice_unit_is_dicenets():
    block, peer = make_shuffle_block(16, 16, (7, 7), unit='dimconv+dimfuse').eval(), DiCEBlock(16, 16, (7, 7)).eval()
    names = {name: name.replace('branch.1.0.', 'branch.1.') for name in block.state_dict()}
    assert list(names.values()) == list(peer.state_dict())
    peer.load_state_dict({names[name]: value for name, value in block.state_dict().items()})
    x = torch.randn(2, 16, 7, 7)
    torch.testing.assert_close(block(x), peer(x))


@pytest.mark.parametrize('make', [BottleneckBlock, make_shuffle_block])
@pytest.mark.parametrize('first', FIRST_LAYERS)
@pytest.mark.parametrize('expansion', [1, 4])
def test_blocks(make, first, expansion):
    for channels, stride in ((16, 2), (32, 1)):
        block = make(channels, 32, (7, 7), stride, unit='dimconv+dimfuse', first=first, expansion=expansion)
        assert block(torch.randn(2, channels, 7, 9)).shape == ((2, 32, 7, 9) if stride == 1 else (2, 32, 4, 5))
        unit, = (module for module in block.modules() if isinstance(module, DiCEUnit))
        narrow = 8 if make is BottleneckBlock else 16
        assert unit.dim_conv.depth_weight.shape[0] == expansion * narrow


def test_bottleneck_adds_its_input():
    block = BottleneckBlock(16, 16, (7, 7), unit='dwise+pointwise').eval()
    nn.init.zeros_(block.branch[3].weight)
    x = torch.randn(2, 16, 7, 7)
    torch.testing.assert_close(block(x), functional.prelu(x, torch.tensor([0.25])))


@pytest.mark.parametrize('make,message', [
    (lambda: make_unit('dimconv', 8, 8, (7, 7)), "no unit 'dimconv': choose one of dwise"),
    (lambda: make_first_layer('SE', 8, 8), "no first layer 'SE': choose one of pointwise, dimfuse"),
])
def test_unknown_names(make, message):
    with pytest.raises(ValueError, match=message):
        make()
