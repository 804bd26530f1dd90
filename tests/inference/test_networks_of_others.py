"""fuse() on networks that know nothing of it: the same outputs, with statistics at random."""
import importlib.util
from functools import partial

import pytest
import torch
import torchvision
from mmpretrain import get_model

import dicenet_mm
from tests.naive import randomised


def timm(name):
    if importlib.util.find_spec('timm') is None:
        pytest.skip('timm is not installed: pip install "dicenet_mm[test]"')
    from timm import create_model
    return create_model(name)


def torchvision_model(name):
    return torchvision.models.get_model(name, weights=None)


#: Gates, groups, shuffles, pre-activation, residuals around a normalisation, normalisations that activate, branches
#: that fold themselves, and layers that read the weights of theirs.
MODELS = {
    **{name: partial(torchvision_model, name) for name in (
        'mobilenet_v3_small', 'shufflenet_v2_x0_5', 'swin_t', 'densenet121')},
    **{name: partial(get_model, name) for name in (
        'edgenext-xxsmall_3rdparty_in1k', 'repvgg-A0_8xb32_in1k', 'mobileone-s0_8xb32_in1k',
        'efficientnet-b0_3rdparty_8xb32_in1k', 'densenet121_3rdparty_in1k')},
    **{f'timm {name}': partial(timm, name) for name in (
        'edgenext_xx_small', 'test_efficientnet', 'test_resnet', 'test_byobnet', 'repghostnet_050', 'dla46x_c',
        'dpn48b', 'resnetv2_18', 'test_mambaout')},
}


@torch.no_grad()
@pytest.mark.parametrize('name', MODELS)
def test_same_outputs(name):
    model, x = randomised(MODELS[name]()), torch.randn(1, 3, 64, 64)
    expected, got = model(x), dicenet_mm.fuse(model)(x)
    assert expected.isfinite().all()
    assert (got - expected).abs().max() <= 1e-5 * expected.abs().max()
