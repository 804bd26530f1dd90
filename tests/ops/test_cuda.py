"""dim_conv on a card: `pytest -m cuda`, where the CUDA operators were built."""
import pytest
import torch

from dicenet_mm.ops import dim_conv, inference, reference

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


@pytest.mark.parametrize('shape,kernel_sizes', [
    ((2, 58, 28, 28), (28, 28)), ((1, 278, 7, 7), (7, 7)), ((2, 69, 38, 38), (28, 28)),
    ((1, 139, 19, 10), (14, 14)),
])
def test_inference_unit(shape, kernel_sizes):
    """Against the same packed weights in float64 on the CPU, where PyTorch's own operators serve."""
    d = shape[1]
    kernels = ((count, 3, 3) for count in (d, *kernel_sizes))
    x = torch.randn(shape)
    unit = [torch.randn(size) for size in (*kernels, (d, 12), (d, 12), (d // 4, d), (d, d // 4))]
    weights, sizes = inference.pack_unit(unit)
    expected = inference.dice_unit(x.double(), weights.double(), sizes)
    y = torch.ops.dicenet_mm.dice_unit(x.to(DEVICE), weights.to(DEVICE), sizes)
    assert_close([y], [expected], 1e-5)


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
