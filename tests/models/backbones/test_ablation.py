"""The three architectures of the ablations: counts against torchvision's ShuffleNetV2, and the contract."""
import pytest
import torch
import torchvision
from mmengine.registry import MODELS
from torch import nn

from dicenet_mm.layers import UNITS
from dicenet_mm.models.backbones import AblationMobileNet, AblationResNet, AblationShuffleNetV2
from tests.complexity import complexity

NETWORKS = (AblationMobileNet, AblationResNet, AblationShuffleNetV2)


@pytest.mark.parametrize('width,name', [(48, 'shufflenet_v2_x0_5'), (116, 'shufflenet_v2_x1_0'),
                                        (176, 'shufflenet_v2_x1_5')])
def test_is_shufflenetv2(width, name):
    """With separable convolutions at its published widths: torchvision's counts, but for the slopes of PReLU."""
    with torch.device('meta'):
        backbone = AblationShuffleNetV2('dwise+pointwise', width).eval()
        peer = torchvision.models.get_model(name).eval()
    macs, parameters = complexity(backbone, 224)
    slopes = sum(module.num_parameters for module in backbone.modules() if isinstance(module, nn.PReLU)) / 1e6
    peer_macs, peer_parameters = complexity(peer, 224)
    assert macs + 1.024 == pytest.approx(peer_macs, abs=1e-6)
    assert parameters - slopes + 1.025 == pytest.approx(peer_parameters, abs=1e-6)


@pytest.mark.parametrize('network', NETWORKS)
@pytest.mark.parametrize('unit', UNITS)
def test_every_unit_in_every_network(network, unit):
    backbone = MODELS.build(dict(type=network.__name__, unit=unit, width=16, input_size=32))
    out, = backbone(torch.randn(2, 3, 45, 70))
    assert out.shape == (2, 1024, 2, 3) and backbone.out_channels == (1024,)
    out.sum().backward()
    assert all(parameter.grad is not None for parameter in backbone.parameters())
    blocks = [len(getattr(backbone, f'stage{stage}')) for stage in (1, 2, 3)]
    assert blocks == [4, 8, 4]  # one of stride 2, and 3, 7, 3


@pytest.mark.parametrize('arguments,message', [
    (dict(unit='dimconv+se', width=32), "no unit 'dimconv[+]se'"),
    (dict(unit='dwise+SE', width=33), 'width must be even'),
    (dict(unit='dwise+SE', width=8), 'at least 16'),
    (dict(unit='dwise+SE', width=32, first='SE'), "no first layer 'SE'"),
])
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        AblationShuffleNetV2(**arguments)
