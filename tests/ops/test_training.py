"""Operators of training against the same layers in double precision from PyTorch's own operators."""
import copy
from functools import partial

import pytest
import torch
from torch import nn

from dicenet_mm.layers import DiCEBlock, DiCEUnit, StridedDiCEBlock
from dicenet_mm.layers.units import conv_3x3, norm_act
from dicenet_mm.models.backbones import DiCENet
from dicenet_mm.ops import backend, library
from tests.naive import randomised

pytestmark = pytest.mark.skipif(not library.LOADED, reason='the compiled operators were not built')
CASES = {
    'native': (lambda: DiCEUnit(37, 37, (7, 9)), (2, 37, 7, 9)),
    'larger': (lambda: DiCEUnit(12, 12, (7, 9)), (2, 12, 12, 20)),
    'smaller': (lambda: DiCEUnit(12, 12, (9, 7)), (2, 12, 5, 3)),
    'other width': (lambda: DiCEUnit(12, 18, (7, 9)), (2, 12, 7, 9)),
    'dilated': (lambda: DiCEUnit(12, 12, (7, 9), dilation=2), (2, 12, 7, 9)),
    'block': (lambda: DiCEBlock(14, 22, (7, 9)), (2, 14, 7, 9)),
    'strided block': (lambda: StridedDiCEBlock(10, (4, 5)), (3, 10, 7, 9)),
}


def step(model, x, seed=1):
    x = x.clone().requires_grad_()
    y = model(x)
    torch.manual_seed(seed)
    y.backward(torch.randn(y.shape, dtype=torch.float64).to(y.dtype))
    grads = {name: p.grad for name, p in model.named_parameters()}
    return {'y': y.detach(), 'x': x.grad, **grads, **dict(model.named_buffers())}


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('name', CASES)
def test_outputs_gradients_and_statistics(name, training):
    make, shape = CASES[name]
    model = randomised(make()).train(training)
    x = torch.randn(shape)
    with backend('reference'):
        expected = step(copy.deepcopy(model).double(), x.double())
    got = step(model, x)
    assert got.keys() == expected.keys()
    for key, value in got.items():
        scale = expected[key].abs().max().clamp(min=1e-2)
        assert (value.double() - expected[key]).abs().max() <= 2e-5 * scale, key


def test_same_bits_in_two_runs_and_at_any_number_of_threads():
    model = randomised(DiCEUnit(40, 40, (7, 9))).train()
    x = torch.randn(3, 40, 12, 20)
    try:
        runs = []
        for threads in (1, 2, 3, 1):
            torch.set_num_threads(threads)
            runs.append(step(copy.deepcopy(model), x))
    finally:
        torch.set_num_threads(1)
    assert all(torch.equal(runs[0][key], runs[3][key]) for key in runs[0])
    for key in ('norm.running_mean', 'norm.running_var'):  # PyTorch's own layers follow, which threads may change
        assert all(torch.equal(runs[0][key], run[key]) for run in runs)


@pytest.mark.parametrize('threads', [1, 2])
def test_a_training_step_of_the_network_gives_the_same_bits_twice(threads):
    model, x = DiCENet(0.2, input_size=64).train(), torch.randn(3, 3, 75, 64)

    def run():
        twin = copy.deepcopy(model)
        outs = twin(x)
        sum(out.square().mean() for out in outs).backward()
        return [*outs, *(p.grad for p in twin.parameters()), *twin.buffers()]

    torch.set_num_threads(threads)
    try:
        assert all(torch.equal(a, b) for a, b in zip(run(), run(), strict=True))
    finally:
        torch.set_num_threads(1)


def test_keeps_little_for_the_backward_pass():
    """Of volumes of the input's size: the unit in plain PyTorch keeps some 17, the fused one 5."""
    unit, x = DiCEUnit(64, 64, (14, 14)).train(), torch.randn(4, 64, 14, 14)

    def kept():
        storages = {}
        own = {p.untyped_storage().data_ptr() for p in (*unit.parameters(), *unit.buffers())}

        def pack(tensor):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                storages[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            out = unit(x.requires_grad_())
        return sum(storages.values()) / x.nbytes, out

    fused = kept()[0]
    with backend('reference'):
        plain = kept()[0]
    assert fused < 5.5 < 15 < plain


@pytest.mark.parametrize('shape', [(1, 3, 1, 1), (2, 3, 1, 1)])
def test_a_single_value_per_channel_is_refused_as_ever(shape):
    norm, act, x = nn.BatchNorm2d(3), nn.PReLU(3), torch.randn(shape)
    if shape[0] == 1:
        with pytest.raises(ValueError, match='more than 1 value per channel'):
            norm_act(norm, act, x)
    else:
        assert norm_act(norm, act, x).shape == shape


@pytest.mark.parametrize('layer', [
    DiCEUnit(12, 12, (5, 6)), DiCEUnit(12, 12, (7, 9)), partial(norm_act, nn.BatchNorm2d(12), nn.PReLU(12)),
    partial(conv_3x3, nn.Conv2d(12, 12, 3, padding=1, groups=12, bias=False))])
@pytest.mark.parametrize('channels', [11, 13])
def test_refuses_other_channels_than_the_layer_was_made_for(layer, channels):
    """Kernels would read and write beyond their memory."""
    with pytest.raises(RuntimeError, match=r'\(N, 12, H, W\)'):
        layer(torch.randn(2, channels, 5, 6))


def test_compiles_without_a_graph_break():
    unit, x = randomised(DiCEUnit(8, 8, (4, 5))).train(), torch.randn(2, 8, 4, 5)
    expected = step(copy.deepcopy(unit), x)
    compiled = copy.deepcopy(unit)
    compiled.compile(fullgraph=True, backend='aot_eager')
    for key, value in step(compiled, x).items():
        torch.testing.assert_close(value, expected[key], rtol=1e-4, atol=1e-4)
