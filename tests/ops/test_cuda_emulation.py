"""The CUDA kernels on the host, watched by sanitizers of addresses and undefined behaviour, against float64."""
import itertools
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dicenet_mm.layers import DiCEBlock, StridedDiCEBlock
from dicenet_mm.layers.blocks import fused_stage
from dicenet_mm.ops import reference, rows
from tests.naive import randomised
from tests.ops.emulation.build import CUDA_SOURCES, HERE, cached

COMPILER = shutil.which('g++')
NAMES = ('y', 'grad_x', 'grad_depth_weight', 'grad_height_weight', 'grad_width_weight')
ORDERS = ('forward', 'reversed', 'shuffled')

pytestmark = pytest.mark.skipif(COMPILER is None, reason='needs g++')


@pytest.fixture(scope='module')
def program() -> Path:
    source = HERE / 'dim_conv.cpp'

    def build(folder):
        subprocess.run(
            [COMPILER, '-std=c++17', '-g1', '-Wall', '-Wextra', '-Werror', '-Wno-unknown-pragmas',
             '-fsanitize=address,undefined', '-fno-sanitize-recover=undefined', f'-I{CUDA_SOURCES}', source, '-o',
             folder / 'dim_conv'], check=True)

    version = subprocess.run([COMPILER, '--version'], capture_output=True, text=True).stdout
    headers = [HERE / 'cuda_on_host.h', *CUDA_SOURCES.glob('*.cuh'), CUDA_SOURCES.parent / 'packed.h']
    return cached('emulation', [source, *headers], build, version) / 'dim_conv'


def make(shape, kernel_sizes, dtype=torch.float64):
    """x, grad and the three weights."""
    n, d, h, w = shape
    sizes = (shape, (n, 3 * d, h, w), (d, 3, 3), (kernel_sizes[0], 3, 3), (kernel_sizes[1], 3, 3))
    return [torch.randn(size, dtype=torch.float64).to(dtype) for size in sizes]


def run(program, folder, operator, inputs, kernel_sizes, order='shuffled', multiprocessors=8, fault='none'):
    """What the operator makes of the inputs, flat; RuntimeError with what the sanitizer says."""
    x, file = inputs[0], folder / 'io'
    file.write_bytes(b''.join(tensor.view(torch.uint8).numpy().tobytes() for tensor in inputs))
    dtype = str(x.dtype).removeprefix('torch.')
    words = (operator, dtype, order, fault, multiprocessors, *x.shape, *kernel_sizes, file)
    done = subprocess.run([program, *map(str, words)], capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return torch.from_numpy(np.fromfile(f'{file}.out', np.uint8)).view(x.dtype)


def emulate(program, folder, inputs, *args, **kwargs):
    """What dim_conv and its gradients make of the inputs, by NAMES."""
    x, _, depth_weight, height_weight, width_weight = inputs
    kernel_sizes = len(height_weight), len(width_weight)
    flat = run(program, folder, 'dim_conv', inputs, kernel_sizes, *args, **kwargs)
    n, d, h, w = x.shape
    shapes = ((n, 3 * d, h, w), x.shape, depth_weight.shape, height_weight.shape, width_weight.shape)
    parts = flat.split([torch.Size(shape).numel() for shape in shapes])
    return {name: part.view(shape) for name, part, shape in zip(NAMES, parts, shapes)}


def expect(inputs):
    """The same in float64 by PyTorch's own operators and their gradients."""
    x, grad, *weights = (tensor.double() for tensor in inputs)
    leaves = [tensor.requires_grad_() for tensor in (x, *weights)]
    y = reference.dim_conv(*leaves)
    return dict(zip(NAMES, (y.detach(), *torch.autograd.grad(y, leaves, grad))))


def assert_close(got, expected, tolerance):
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        error = (got[name].double() - value).abs().max() / value.abs().max()
        assert error <= tolerance, f'{name}: {error:.1e}'  # also where it is NaN


@pytest.mark.parametrize('shape,kernel_sizes', [
    # the kernels' own size: small, one pixel, row or column, chunks that do not divide D, more than one tile
    ((2, 5, 7, 7), (7, 7)),
    ((1, 1, 1, 1), (1, 1)),
    ((3, 2, 1, 5), (1, 5)),
    ((1, 6, 5, 1), (5, 1)),
    ((2, 37, 6, 5), (6, 5)),
    ((1, 4, 35, 33), (35, 33)),
    # larger, smaller, mixed, and one axis alone
    ((2, 5, 10, 10), (7, 7)),
    ((1, 9, 5, 6), (7, 14)),
    ((2, 6, 5, 9), (7, 4)),
    ((1, 7, 8, 9), (8, 7)),
    ((1, 7, 9, 8), (7, 8)),
    ((2, 37, 4, 5), (5, 4)),
    # detection's sizes, one pixel, one kernel, and ratios that fill a tile
    ((1, 3, 38, 38), (28, 28)),
    ((1, 5, 19, 10), (14, 7)),
    ((2, 3, 1, 1), (7, 14)),
    ((2, 3, 6, 7), (1, 1)),
    ((1, 2, 70, 3), (3, 70)),
    ((1, 2, 2, 70), (70, 2)),
], ids=str)
@pytest.mark.parametrize('multiprocessors', [1, 100])  # long chunks of channels or short ones
def test_equals_the_reference_in_any_order(program, tmp_path, shape, kernel_sizes, multiprocessors):
    """And two orders of the threads give the same bits."""
    inputs = make(shape, kernel_sizes)
    results = [emulate(program, tmp_path, inputs, order, multiprocessors) for order in ORDERS]
    assert_close(results[0], expect(inputs), 1e-14)
    for other in results[1:]:
        assert all(torch.equal(other[name], results[0][name]) for name in NAMES)


def test_equals_naive_loops(program, tmp_path):
    """Equation 1 and its derivatives term by term: each product is added where it belongs."""
    inputs = make((2, 3, 4, 5), (4, 5))
    x, grad, *weights = (tensor.numpy() for tensor in inputs)
    expected = {name: np.zeros(a.shape) for name, a in zip(NAMES, (grad, x, *weights))}
    n, d, h, w = x.shape
    for b, c, i, j, u, v in itertools.product(range(n), range(d), range(h), range(w), range(3), range(3)):
        s, t = u - 1, v - 1
        for branch, (kernel, source) in enumerate((
                (c, (c, i + s, j + t)), (i, (c + s, i, j + t)), (j, (c + s, i + t, j)))):
            if any(at < 0 or at >= size for at, size in zip(source, (d, h, w))):
                continue
            output, tap = (b, 3 * c + branch, i, j), (kernel, u, v)
            expected['y'][output] += weights[branch][tap] * x[b][source]
            expected['grad_x'][b][source] += weights[branch][tap] * grad[output]
            expected[NAMES[2 + branch]][tap] += x[b][source] * grad[output]
    got = emulate(program, tmp_path, inputs)
    assert_close(got, {name: torch.from_numpy(value) for name, value in expected.items()}, 1e-14)


@pytest.mark.parametrize('dtype,tolerance', [
    (torch.float32, 1e-6), (torch.float16, 1.5e-3), (torch.bfloat16, 1e-2)])
@pytest.mark.parametrize('kernel_sizes', [(5, 9), (7, 4)])
def test_dtypes(program, tmp_path, dtype, tolerance, kernel_sizes):
    """Two roundings of half its precision at most: sums are kept in float."""
    inputs = make((2, 12, 5, 9), kernel_sizes, dtype)
    assert_close(emulate(program, tmp_path, inputs), expect(inputs), tolerance)


@pytest.mark.parametrize('kernel_sizes', [(6, 5), (4, 7)])
def test_the_emulation_notices_a_missing_barrier(program, tmp_path, kernel_sizes):
    """Which order of threads shows it depends on the kernel, hence three of them."""
    inputs = make((1, 6, 6, 5), kernel_sizes)
    results = [emulate(program, tmp_path, inputs, order, fault='no_barriers') for order in ORDERS]
    for name, value in expect(inputs).items():
        assert not all(torch.allclose(result[name], value) for result in results), name


@pytest.mark.parametrize('kernel_sizes', [(6, 5), (4, 7)])
def test_the_emulation_notices_too_little_shared_memory(program, tmp_path, kernel_sizes):
    with pytest.raises(RuntimeError, match='AddressSanitizer: use-after-poison'):
        emulate(program, tmp_path, make((1, 6, 6, 5), kernel_sizes), fault='little_shared')


def dice_unit(x, depth_weight, height_weight, width_weight, local, spatial, squeeze, excite):
    """The unit from its parts, with the coefficients as ops/inference.py describes them."""
    branches = reference.dim_conv(x, depth_weight, height_weight, width_weight)
    fused = torch.zeros_like(x)
    for c in range(x.shape[1]):
        for b in range(3):
            p, r, knee = local[c, 3 * b:3 * b + 3]
            u = branches[:, 3 * c + b]
            fused[:, c] += p * u + r * u.clamp(max=knee)
        fused[:, c] += local[c, 9]
        fused[:, c] = torch.nn.functional.prelu(fused[:, c], 1 + local[c, 10])
    gate = (excite @ (squeeze @ fused.mean((2, 3)).T).relu()).sigmoid().T
    taps = spatial[:, None, :9].unflatten(2, (3, 3))
    y = torch.conv2d(fused, taps, spatial[:, 9], padding=1, groups=x.shape[1])
    y = torch.where(y > 0, y, y * (1 + spatial[:, 10, None, None]))
    return y * gate[..., None, None]


@pytest.mark.parametrize('shape,kernel_sizes', [
    ((2, 37, 7, 7), (7, 7)), ((1, 9, 33, 18), (33, 18)), ((2, 300, 3, 2), (3, 2)), ((1, 4, 1, 1), (1, 1)),
    ((2, 9, 10, 10), (7, 7)), ((1, 6, 20, 33), (20, 14)), ((1, 5, 4, 5), (7, 14))], ids=str)
@pytest.mark.parametrize('multiprocessors', [1, 100])
def test_inference_unit(program, tmp_path, shape, kernel_sizes, multiprocessors):
    d = shape[1]
    kernels = ((count, 3, 3) for count in (d, *kernel_sizes))
    sizes = (shape, *kernels, (d, 12), (d, 12), (d // 4, d), (d, d // 4))
    inputs = [torch.randn(size, dtype=torch.float64) for size in sizes]
    expected = dice_unit(*inputs)

    def emulated(inputs, **kwargs):
        return run(program, tmp_path, 'dice_unit', inputs, kernel_sizes, **kwargs).view(shape)

    results = [emulated(inputs, order=order, multiprocessors=multiprocessors) for order in ORDERS]
    torch.testing.assert_close(results[0], expected, rtol=1e-12, atol=1e-12)
    assert all(torch.equal(result, results[0]) for result in results)
    error = emulated([tensor.float() for tensor in inputs]) - expected
    assert error.abs().max() <= 1e-5 * expected.abs().max()
    broken = [emulated(inputs, order=order, fault='no_barriers') for order in ORDERS]
    assert not all(torch.allclose(result, expected) for result in broken)


@pytest.mark.parametrize('dtype,tolerance', [(torch.float16, 2e-3), (torch.bfloat16, 1.5e-2)])
@pytest.mark.parametrize('shape,kernel_sizes', [((2, 37, 7, 7), (7, 7)), ((1, 9, 19, 10), (14, 7)),
                                                ((1, 4, 70, 3), (3, 70))], ids=str)
def test_inference_unit_in_half(program, tmp_path, shape, kernel_sizes, dtype, tolerance):
    """x, Y_G and the result are stored in half; parameters, of which knees do not fit half, and sums are in float32."""
    d = shape[1]
    kernels = ((count, 3, 3) for count in (d, *kernel_sizes))
    sizes = (*kernels, (d, 12), (d, 12), (d // 4, d), (d, d // 4))
    x, parameters = torch.randn(shape).to(dtype), [torch.randn(size) for size in sizes]
    parameters[3][:, 2] = 1e6  # a knee that no response reaches, beyond the range of float16
    expected = dice_unit(x.double(), *(tensor.double() for tensor in parameters))
    got = run(program, tmp_path, 'dice_unit', [x, *parameters], kernel_sizes).view(shape).double()
    assert (got - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.mark.parametrize('strided', [True, False])
@pytest.mark.parametrize('size,kernel_sizes', [((10, 11), (5, 6)), ((7, 9), (5, 6)), ((6, 3), (50, 2))], ids=str)
def test_stage(program, tmp_path, strided, size, kernel_sizes):
    """A strided block and two blocks, of which more channels come out than go in, against PyTorch's operators."""
    strided_layers = [StridedDiCEBlock(12, kernel_sizes)] if strided else []
    layers = [*strided_layers, DiCEBlock(24 if strided else 12, 40, kernel_sizes), DiCEBlock(40, 40, kernel_sizes)]
    model = randomised(nn.Sequential(*layers)).eval()
    x = torch.randn(2, 12, *size)
    expected = model.double()(x.double())
    op = fused_stage(list(model.float()))
    shape = bool(op.sizes[0]), op.sizes[1:]
    matrices, rest = rows.stage_rows(*op.weights, *shape)
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float16, 2e-2)):
        counts = [len(shape[1]), matrices.numel(), rest.numel(), expected.numel()]
        results = []
        for order in ORDERS:
            file = tmp_path / 'io'
            file.write_bytes(b''.join(tensor.numpy().tobytes() for tensor in (
                torch.tensor(counts + shape[1]), x.to(dtype), matrices.to(dtype), rest)))
            words = ('dice_stage', str(dtype).removeprefix('torch.'), order, 'none', 8, *x.shape, int(strided), 0, file)
            done = subprocess.run([program, *map(str, words)], capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stderr
            results.append(torch.from_numpy(np.fromfile(f'{file}.out', np.uint8)).view(dtype).view(expected.shape))
            if kernel_sizes != (50, 2):  # which is resized branch by branch
                assert done.stdout == f'{8 + (7 if strided else 0)} launches\n'
        assert all(torch.equal(result, results[0]) for result in results)
        assert (results[0] - expected).abs().max() <= tolerance * expected.abs().max()


def test_bias_prelu(program, tmp_path):
    x, affine = torch.randn(3, 5, 7, 11), torch.randn(5, 2)
    bias, slope_minus_one = affine[..., None, None].unbind(1)
    y = x + bias
    expected = torch.where(y > 0, y, y * (slope_minus_one + 1))
    got = run(program, tmp_path, 'bias_prelu', [x, affine], (0, 0)).view(x.shape)
    torch.testing.assert_close(got, expected)
