"""Whole networks under torch.compile, as one graph each, and under torch.export."""
import copy
import io
import shutil

import pytest
import torch
from torch import nn
from torch.export import Dim

import dicenet_mm
from dicenet_mm.layers import DiCEUnit
from dicenet_mm.models.backbones import DiCENet
from dicenet_mm.models.decode_heads import ESPNetv2Head
from dicenet_mm.ops import library
from tests.naive import randomised
from tests.ops.networks import raw_ssd

pytestmark = pytest.mark.skipif(not library.LOADED, reason='the compiled operators were not built')


@pytest.fixture(scope='module')
def ssd():
    torch.manual_seed(0)
    return raw_ssd()


@pytest.fixture
def images():
    return torch.randn(2, 3, 300, 300)


def compiled(model):
    torch.compiler.reset()
    return torch.compile(model, fullgraph=True, backend='aot_eager')


def assert_near(got, expected, tolerance=1e-4):
    for a, b in zip(got, expected, strict=True):
        assert (a - b).abs().max() <= tolerance * b.abs().max()


def operators(program):
    """Names of ours in an exported graph."""
    return {node.target.name().split('::')[1] for node in program.graph.nodes
            if node.op == 'call_function' and str(node.target).startswith('dicenet_mm.')}


def step(model, forward, x):
    outs = forward(x)
    sum(out.square().mean() for out in outs).backward()
    return [*outs, *(p.grad for p in model.parameters()), *(b for b in model.buffers() if b.is_floating_point())]


def test_training_is_one_graph(ssd, images):
    """Backbone, neck and heads: outputs, gradients and running statistics are those of eager mode."""
    expected = copy.deepcopy(ssd).train()
    model = copy.deepcopy(expected)
    assert_near(step(model, compiled(model), images), step(expected, expected, images), 1e-3)


@pytest.mark.skipif(shutil.which('c++') is None, reason='needs a C++ compiler')
def test_a_unit_trains_under_inductor():
    expected = randomised(DiCEUnit(12, 12, (7, 9))).train()
    model, x = copy.deepcopy(expected), torch.randn(4, 12, 12, 9)
    torch.compiler.reset()
    forward = torch.compile(model, fullgraph=True)
    assert_near(step(model, lambda x: [forward(x)], x), step(expected, lambda x: [expected(x)], x), 1e-3)


def test_fused_inference_is_one_graph(ssd, images):
    model = dicenet_mm.fuse(ssd)
    with torch.no_grad():
        assert_near(compiled(model)(images), model(images))


def test_mixed_precision_is_one_graph():
    unit, x = randomised(DiCEUnit(12, 12, (7, 9))), torch.randn(2, 12, 12, 9)
    with torch.autocast('cpu', torch.bfloat16):
        assert_near([compiled(unit)(x)], [unit(x)], 2e-2)


@pytest.mark.parametrize('form,nodes', [
    ('plain', {'dim_conv_fuse', 'norm_act', 'depth_wise_conv'}),
    ('fused', {'sequence', 'point_wise'}),
])
def test_exports_for_any_batch(ssd, images, form, nodes):
    """One node an operator; a program that was saved and loaded gives the same."""
    model = ssd if form == 'plain' else dicenet_mm.fuse(ssd)
    with torch.no_grad():
        program = torch.export.export(model, (images,), dynamic_shapes=({0: Dim('images')},))
        assert operators(program) == nodes
        file = io.BytesIO()
        torch.export.save(program, file)
        file.seek(0)
        loaded = torch.export.load(file).module()
        for count in (1, 2, 3):
            x = torch.randn(count, 3, 300, 300)
            assert_near(loaded(x), model(x), 1e-5)


def test_segmentation_exports_for_images_of_any_size():
    """In plain PyTorch it does not, as its pools ask which of two sizes is the larger one."""
    encoder = DiCENet(0.1, input_size=64, out_indices=(0, 1, 2, 3))
    model = dicenet_mm.fuse(randomised(nn.Sequential(encoder, ESPNetv2Head(encoder.out_channels, num_classes=3))))
    sizes = {0: Dim('images'), 2: Dim('height', min=64, max=512), 3: Dim('width', min=64, max=512)}
    with torch.no_grad():
        program = torch.export.export(model, (torch.randn(2, 3, 96, 128),), dynamic_shapes=(sizes,))
        x = torch.randn(1, 3, 160, 75)
        assert_near([program.module()(x)], [model(x)], 1e-5)
