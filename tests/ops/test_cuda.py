"""The operators on a card: `pytest -m cuda`, where they were built for CUDA."""
from copy import deepcopy

import pytest
import torch
from torch import nn

import dicenet_mm
from dicenet_mm.errors import UserError
from dicenet_mm.inference.graph import GraphedModel
from dicenet_mm.layers import DiCEBlock, StridedDiCEBlock
from dicenet_mm.layers.blocks import fused_stage
from dicenet_mm.ops import dim_conv, inference, reference
from tests.naive import randomised

DEVICE = 'cuda'

pytestmark = pytest.mark.cuda


def make(shape, kernel_sizes, dtype=torch.float32):
    """x and the weights on the card, leaves of autograd, and a gradient of the result."""
    n, d, h, w = shape
    sizes = (shape, (d, 3, 3), (kernel_sizes[0], 3, 3), (kernel_sizes[1], 3, 3))
    args = [torch.randn(size, dtype=torch.float64).to(DEVICE, dtype).requires_grad_() for size in sizes]
    return args, torch.randn(n, 3 * d, h, w, dtype=torch.float64).to(DEVICE, dtype)


def run(function, args, grad):
    y = function(*args)
    return y.detach(), *torch.autograd.grad(y, args, grad)


def expect(args, grad):
    """The same in float64 on the CPU, by PyTorch's own operators."""
    leaves = [arg.detach().cpu().double().requires_grad_() for arg in args]
    return run(reference.dim_conv, leaves, grad.cpu().double())


def assert_close(got, expected, tolerance):
    for a, b in zip(got, expected, strict=True):
        assert (a.cpu().double() - b).abs().max() <= tolerance * b.abs().max()


@pytest.mark.parametrize('dtype,tolerance', [
    (torch.float64, 1e-12), (torch.float32, 5e-6), (torch.float16, 2e-3), (torch.bfloat16, 1.5e-2)])
@pytest.mark.parametrize('shape,kernel_sizes', [
    # at 224
    ((2, 37, 28, 28), (28, 28)), ((32, 116, 14, 14), (14, 14)), ((1, 278, 7, 7), (7, 7)),
    # detection and segmentation
    ((2, 37, 38, 38), (28, 28)), ((1, 116, 19, 10), (14, 14)), ((4, 40, 64, 48), (28, 7)),
    ((3, 5, 1, 1), (1, 1)), ((1, 3, 1, 4), (7, 2)), ((1, 8, 200, 150), (200, 150)),
    ((1, 4, 2, 130), (130, 2)),
])
def test_equals_the_reference(shape, kernel_sizes, dtype, tolerance):
    args, grad = make(shape, kernel_sizes, dtype)
    got = run(dim_conv, args, grad)
    assert all(tensor.dtype == dtype for tensor in got)
    assert_close(got, expect(args, grad), tolerance)


@pytest.mark.parametrize('layout', ['channels_last', 'slice', 'transposed', 'expanded'])
@pytest.mark.parametrize('kernel_sizes', [(12, 12), (7, 14)])
def test_layouts(layout, kernel_sizes):
    base = torch.randn(4, 9, 24, 24, device=DEVICE)[:, :, :12, :12]
    x = dict(channels_last=base.contiguous(memory_format=torch.channels_last), slice=base, transposed=base.mT,
             expanded=base[:1].expand(4, -1, -1, -1))[layout]
    (_, *weights), grad = make(x.shape, kernel_sizes)
    got = run(dim_conv, [x.detach().requires_grad_(), *weights], grad.mT)
    assert_close(got, expect([x, *weights], grad.mT), 5e-6)


@pytest.mark.parametrize('kernel_sizes', [(6, 6), (3, 9)])
def test_empty_batch(kernel_sizes):
    args, grad = make((0, 4, 6, 6), kernel_sizes)
    y, grad_x, *grads = run(dim_conv, args, grad)
    assert y.shape == (0, 12, 6, 6) and grad_x.shape == (0, 4, 6, 6)
    assert not any(g.any() for g in grads)


@pytest.mark.parametrize('kernel_sizes', [(28, 28), (14, 40)])
def test_two_runs_give_the_same_bits(kernel_sizes):
    args, grad = make((8, 116, 28, 28), kernel_sizes)
    first = run(dim_conv, args, grad)
    for _ in range(5):
        assert all(torch.equal(a, b) for a, b in zip(first, run(dim_conv, args, grad)))


@pytest.mark.parametrize('kernel_sizes', [(4, 5), (2, 7)])
def test_opcheck(kernel_sizes):
    args, grad = make((2, 3, 4, 5), kernel_sizes, torch.float64)
    torch.library.opcheck(torch.ops.dicenet_mm.dim_conv, args)
    plain = [arg.detach() for arg in args]
    torch.library.opcheck(torch.ops.dicenet_mm.dim_conv_backward, (grad, *plain, [True, False, False, True]))


@pytest.mark.parametrize('kernel_sizes', [(12, 12), (7, 14)])
def test_another_stream_and_a_graph(kernel_sizes):
    """Scratch memory belongs to the stream, and nothing waits for the card."""
    args, _ = make((2, 9, 12, 12), kernel_sizes)
    plain = [arg.detach() for arg in args]
    expected = dim_conv(*plain)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        y = dim_conv(*plain)
    stream.synchronize()
    assert torch.equal(y, expected)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = dim_conv(*plain)
    plain[0].mul_(2)
    graph.replay()
    assert torch.equal(y, 2 * expected)


@pytest.mark.parametrize('dtype,tolerance', [
    (torch.float32, 1e-5), (torch.float16, 3e-3), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize('shape,kernel_sizes', [
    ((2, 58, 28, 28), (28, 28)), ((1, 278, 7, 7), (7, 7)), ((2, 69, 38, 38), (28, 28)),
    ((1, 139, 19, 10), (14, 14)), ((1, 16, 64, 48), (28, 14)), ((1, 16, 9, 5), (70, 3)),
])
def test_inference_unit(shape, kernel_sizes, dtype, tolerance):
    """Against the same packed weights in float64 on the CPU, where PyTorch's own operators serve."""
    d = shape[1]
    kernels = ((count, 3, 3) for count in (d, *kernel_sizes))
    x = torch.randn(shape).to(dtype)
    unit = [torch.randn(size) for size in (*kernels, (d, 12), (d, 12), (d // 4, d), (d, d // 4))]
    weights, sizes = inference.pack_unit(unit)
    expected = inference.dice_unit(x.double(), weights.double(), sizes)
    y = torch.ops.dicenet_mm.dice_unit(x.to(DEVICE), weights.to(DEVICE), sizes)
    assert y.dtype == dtype
    assert_close([y], [expected], tolerance)


def stage(kernel_sizes=(14, 14), channels=24):
    layers = [StridedDiCEBlock(channels, kernel_sizes), DiCEBlock(2 * channels, 60, kernel_sizes),
              DiCEBlock(60, 60, kernel_sizes)]
    return randomised(nn.Sequential(*layers)).eval()


@torch.no_grad()
@pytest.mark.parametrize('dtype,tolerance', [
    (torch.float32, 1e-5), (torch.float16, 2e-2), (torch.bfloat16, 0.1)])
@pytest.mark.parametrize('size', [(28, 28), (38, 27), (9, 70)])
def test_stage(size, dtype, tolerance):
    """A strided block and two others, moved from the CPU: packed anew, one operator, the dtype of its input."""
    model, x = stage(), torch.randn(3, 24, *size)
    expected = model.double()(x.double())
    fused = fused_stage(list(model.float())).to(DEVICE, dtype)
    x = x.to(DEVICE, dtype)
    with torch.profiler.profile() as profile:
        y = fused(x)
    assert any(event.name == 'dicenet_mm::dice_stage_rows' for event in profile.events())
    assert y.dtype == dtype
    assert_close([y], [expected], tolerance)
    assert torch.equal(fused(x), y)
    assert_close([fused.cpu()(x.cpu())], [expected], tolerance)


@torch.no_grad()
@pytest.mark.parametrize('order', ['moved', 'made there'])
def test_stage_under_autocast(order):
    """A map of float32 stays one, whatever autocast says to PyTorch's products."""
    model, x = stage(), torch.randn(2, 24, 38, 38, device=DEVICE)
    expected = model.double()(x.cpu().double())
    model.float()
    fused = fused_stage(list(model)).to(DEVICE) if order == 'moved' else fused_stage(list(model.to(DEVICE)))
    with torch.autocast(DEVICE, torch.float16):
        y = fused(x)
    assert y.dtype == torch.float32
    assert_close([y], [expected], 1e-5)


@torch.no_grad()
@pytest.mark.parametrize('shape,kernel_sizes', [((2, 24, 13, 12), (7, 6)), ((2, 24, 14, 12), (7, 6))])
def test_races(shape, kernel_sizes):
    """Small, for compute-sanitizer: a stage at its kernels' size and at another one, dim_conv with its gradients."""
    model, x = stage(kernel_sizes), torch.randn(shape)
    assert_close([fused_stage(list(model)).to(DEVICE)(x.to(DEVICE))], [model.double()(x.double())], 1e-5)
    args, grad = make((1, 9, *shape[2:]), kernel_sizes)
    with torch.enable_grad():
        assert_close(run(dim_conv, args, grad), expect(args, grad), 5e-6)


@torch.no_grad()
@pytest.mark.parametrize('way', ['moved', 'made there', 'graph', 'half', 'made of half', 'bfloat16', 'autocast'])
@pytest.mark.parametrize('size', [224, 300])
def test_fused_backbone(way, size):
    """The whole network against the plain one in float64."""
    fuse, backbones = whole()
    model = randomised(backbones.DiCENet(1.0, input_size=224, out_indices=(1, 2, 3, 4)))
    x = torch.randn(2, 3, size, size)
    expected = model.double()(x.double())
    model, x = model.float(), x.to(DEVICE)
    dtype = dict(bfloat16=torch.bfloat16).get(way, torch.float16 if 'half' in way else torch.float32)
    if way in ('made there', 'made of half'):
        fused = fuse(model.to(DEVICE, dtype))
    else:
        fused = fuse(model, graph=way == 'graph').to(DEVICE, dtype)
    with torch.autocast(DEVICE, torch.float16, enabled=way == 'autocast'):
        outputs = fused(x.to(dtype))
        again = fused(x.to(dtype))
    tolerance = {torch.float32: 1e-4, torch.float16: 0.02, torch.bfloat16: 0.1}[
        torch.float16 if way == 'autocast' else dtype]
    for a, b, c in zip(outputs, expected, again, strict=True):
        assert (a.cpu().double() - b).norm() <= tolerance * b.norm() and torch.equal(a, c)


def whole():
    """fuse() and the networks, which need OpenMMLab."""
    if dicenet_mm.compat.missing():
        pytest.skip('needs OpenMMLab')
    from dicenet_mm.models import backbones
    return dicenet_mm.fuse, backbones


@torch.no_grad()
def test_graphs_of_several_shapes_and_streams():
    model = GraphedModel(stage().to(DEVICE))
    xs = [torch.randn(2, 24, size, size, device=DEVICE) for size in (28, 20, 28)]
    expected = [model.model(x) for x in xs]
    kept = [model(x) for x in xs]  # later calls do not write into what earlier ones gave
    for y, e in zip(kept, expected):
        torch.testing.assert_close(y, e, rtol=1e-4, atol=1e-4)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        y = model(xs[0])
    stream.synchronize()
    assert torch.equal(y, kept[0])


def test_what_depends_on_values_is_not_recorded():
    class Selects(nn.Module):
        def forward(self, x):
            return x[x > 0]

    with torch.no_grad(), pytest.raises(UserError, match='Selects cannot be recorded as a CUDA graph'):
        GraphedModel(Selects())(torch.randn(3, device=DEVICE))


@pytest.mark.parametrize('amp', [False, True])
def test_training_step(amp):
    """Two steps of a unit and a block: losses and gradients as on the CPU in float64."""
    torch.backends.cudnn.allow_tf32, before = False, torch.backends.cudnn.allow_tf32
    try:
        model = randomised(nn.Sequential(StridedDiCEBlock(16, (7, 7)), DiCEBlock(32, 40, (7, 7)))).train()
        x = torch.randn(4, 16, 20, 17)
        results = []
        for device, dtype in ((DEVICE, torch.float32), ('cpu', torch.float64)):
            network, gradients = deepcopy(model).to(device, dtype), []
            scaler = torch.amp.GradScaler(device, enabled=amp and device == DEVICE)
            optimizer = torch.optim.SGD(network.parameters(), 1e-3)
            for _ in range(2):
                optimizer.zero_grad()
                with torch.autocast(DEVICE, torch.float16, enabled=amp):
                    loss = network(x.to(device, dtype)).float().square().mean()
                scaler.scale(loss).backward()
                scaler.unscale_(optimizer)
                gradients += [loss.detach(), *(parameter.grad.clone() for parameter in network.parameters())]
                scaler.step(optimizer)
                scaler.update()
            results.append(torch.cat([value.flatten().cpu().double() for value in gradients]))
        assert (results[0] - results[1]).norm() <= (0.05 if amp else 1e-4) * results[1].norm()
    finally:
        torch.backends.cudnn.allow_tf32 = before


@torch.no_grad()
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason='needs two cards')
def test_a_second_card():
    """Kernels run where the tensors are, not on the current card."""
    model, x = stage(), torch.randn(2, 24, 38, 38)
    expected = model.double()(x.double())
    fused = fused_stage(list(model.float())).to('cuda:1')
    assert torch.cuda.current_device() == 0
    assert_close([fused(x.to('cuda:1'))], [expected], 1e-5)
    args, _ = make((2, 9, 12, 12), (7, 14))
    plain = [arg.detach() for arg in args]
    assert_close([dim_conv(*(arg.to('cuda:1') for arg in plain))], [dim_conv(*plain).double().cpu()], 1e-6)


@torch.no_grad()
def test_compiled_graphs():
    """torch.compile sees one node and the right shapes and dtypes."""
    model, x = stage(), torch.randn(2, 24, 38, 38, device=DEVICE)
    for dtype in (torch.float32, torch.float16):
        fused = fused_stage(list(model)).to(DEVICE, dtype)
        expected = fused(x.to(dtype))
        compiled = torch.compile(fused, fullgraph=True, backend='aot_eager')
        assert torch.equal(compiled(x.to(dtype)), expected)
        op = torch.ops.dicenet_mm.dice_stage_rows
        torch.library.opcheck(op, (x.to(dtype), *fused.weights, bool(fused.sizes[0]), fused.sizes[1:]))


@torch.no_grad()
def test_more_elements_than_32_bits_count():
    """dim_conv and the unit where places in x, and in y, do not fit an int."""
    images = 2 ** 31 // (256 * 28 * 28) + 2
    needed = 2 * 4 * images * 256 * 28 * 28
    if torch.cuda.mem_get_info()[0] < 1.2 * needed:
        pytest.skip(f'needs {1.2 * needed / 2 ** 30:.0f} GiB of memory on the card')
    weights = [torch.randn(count, 3, 3, device=DEVICE, dtype=torch.float16) for count in (256, 28, 28)]
    x = torch.randn(images, 256, 28, 28, device=DEVICE, dtype=torch.float16)
    last = x[-1:].clone()
    assert torch.equal(dim_conv(x, *weights)[-1:], dim_conv(last, *weights))
    unit = [*weights, *(torch.randn(size, device=DEVICE) for size in ((256, 12), (256, 12), (64, 256), (256, 64)))]
    packed, sizes = inference.pack_unit([tensor.float() for tensor in unit])
    whole, alone = (inference.dice_unit(part, packed, sizes)[-1:].float() for part in (x, last))
    torch.testing.assert_close(whole, alone, rtol=1e-2, atol=1e-2)


def test_autocast():
    args, _ = make((2, 9, 12, 12), (7, 14))
    with torch.autocast(DEVICE, torch.float16):
        y = dim_conv(*args)
    assert y.dtype == torch.float16
    y.float().sum().backward()
    assert all(arg.grad.dtype == torch.float32 for arg in args)


def test_refuses_weights_elsewhere():
    (x, depth_weight, *rest), _ = make((1, 4, 5, 6), (5, 6))
    with pytest.raises(RuntimeError, match='depth_weight must be on the device of x'):
        dim_conv(x, depth_weight.cpu(), *rest)
