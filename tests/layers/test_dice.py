"""The DiCE unit against the authors' outputs and gradients, and its own contract."""
import numpy as np
import pytest
import torch
from mmcv.cnn.utils.fuse_conv_bn import fuse_conv_bn
from torch import nn

from dicenet_mm.layers import DiCEBlock, DiCEUnit, StridedDiCEBlock
from tests.authors import unit_state


@pytest.fixture(scope='module')
def reference(shared):
    arrays = np.load(shared / 'reference/dice_unit.npz')
    cases = {}
    for key in arrays.files:
        case, name = key.split('/', 1)
        cases.setdefault(case, {})[name] = arrays[key]
    return cases


@pytest.mark.parametrize('case', ['native', 'larger', 'smaller', 'mixed', 'gcd', 'one_px'])
def test_equals_the_authors_unit(reference, case):
    data = reference[case]
    state = {k[len('state/'):]: v for k, v in data.items() if k.startswith('state/')}
    channels, out_channels, height, width = data['cfg']
    # the order of the two sizes in `cfg` is theirs: take them from the kernels
    height, width = len(state['conv_height.weight']), len(state['conv_width.weight'])
    unit = DiCEUnit(int(channels), int(out_channels), (height, width)).double().eval()
    missing, unexpected = unit.load_state_dict(unit_state(state), strict=False)
    assert not unexpected and all(key.endswith('num_batches_tracked') for key in missing)

    x = torch.from_numpy(data['x']).requires_grad_()
    concatenated = unit.dim_conv(x).unflatten(1, (-1, 3)).transpose(1, 2).flatten(1, 2)
    y = unit(x)
    y.backward(torch.from_numpy(data['gy']))

    def close(got, expected):
        torch.testing.assert_close(got, torch.as_tensor(expected), rtol=1e-10, atol=1e-10)

    close(concatenated.detach(), data['dimconv_cat_dhw'])
    close(y.detach(), data['y_eval'])
    close(x.grad, data['gx_eval'])
    expected = unit_state({k[len('grad/'):]: v for k, v in data.items() if k.startswith('grad/')})
    grads = {name: parameter.grad for name, parameter in unit.named_parameters()}
    assert grads.keys() == expected.keys()
    for name, grad in grads.items():
        close(grad, expected[name])


def test_equals_the_authors_strided_block(reference):
    data = reference['strided']
    state = {k[len('state/'):]: v for k, v in data.items() if k.startswith('state/')}
    block = StridedDiCEBlock(6, (5, 5)).double().eval()
    ours = {f'right.1.{k}': v for k, v in unit_state(state, 'right_layer.1.').items()}
    for mine, theirs in (('left.0', 'left_layer.0'), ('left.1', 'left_layer.1'), ('right.2', 'right_layer.2')):
        ours.update({k.replace(f'{theirs}.cbr', mine): torch.from_numpy(v) for k, v in state.items()
                     if k.startswith(theirs) and v.ndim})
    missing, unexpected = block.load_state_dict(ours, strict=False)
    assert not unexpected and all(key.endswith('num_batches_tracked') for key in missing)
    y = block(torch.from_numpy(data['x']))
    torch.testing.assert_close(y, torch.from_numpy(data['y_eval']), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize('channels,out_channels,dilation,size', [
    (8, 8, 1, (7, 9)), (12, 18, 1, (20, 3)), (7, 5, 2, (1, 1)), (4, 4, 1, (5, 6))])
def test_cardinality(channels, out_channels, dilation, size):
    unit = DiCEUnit(channels, out_channels, (5, 6), dilation).eval()
    assert unit(torch.rand(2, channels, *size)).shape == (2, out_channels, *size)


def test_too_few_channels():
    with pytest.raises(ValueError, match='at least 4 input channels, got 3'):
        DiCEUnit(3, 8, (7, 7))


def test_block_halves_and_growth():
    """The first block at s=0.75 maps 48 -> 86: 24 pass through, 24 become 62, even and odd interleaved."""
    block = DiCEBlock(48, 86, (7, 7)).eval()
    assert block.branch[0][0].weight.shape == (62, 24, 1, 1)
    x = torch.rand(1, 48, 7, 7)
    out = block(x)
    whole = torch.cat((x[:, :24], block.branch(x[:, 24:])), 1)
    assert torch.equal(out[:, 0::2], whole[:, :43]) and torch.equal(out[:, 1::2], whole[:, 43:])


def test_batch_norm_can_be_folded():
    """mmcv folds what it can, also where 3D == H_k, and the outputs stay."""
    model = nn.Sequential(DiCEBlock(14, 14, (21, 21)), StridedDiCEBlock(14, (10, 10)))  # 3 * 7 == 21
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, -1, 2)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
    model.eval().double()
    x = torch.randn(2, 14, 21, 21, dtype=torch.float64)
    expected = model(x)
    torch.testing.assert_close(fuse_conv_bn(model)(x), expected)
