"""The CUDA kernels on the host, under the address sanitizer, against naive loops and PyTorch in float64."""
import itertools
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from dicenet_mm.ops import reference

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
             '-fsanitize=address', f'-I{CUDA_SOURCES}', source, '-o', folder / 'dim_conv'], check=True)

    version = subprocess.run([COMPILER, '--version'], capture_output=True, text=True).stdout
    return cached('emulation', [source, HERE / 'cuda_on_host.h', CUDA_SOURCES / 'dim_conv.cuh'], build,
                  version) / 'dim_conv'


def make(shape, kernel_sizes, dtype=torch.float64):
    """x, grad and the three weights."""
    n, d, h, w = shape
    sizes = (shape, (n, 3 * d, h, w), (d, 3, 3), (kernel_sizes[0], 3, 3), (kernel_sizes[1], 3, 3))
    return [torch.randn(size, dtype=torch.float64).to(dtype) for size in sizes]


def emulate(program, folder, inputs, order='shuffled', multiprocessors=8, fault='none'):
    """What the kernels make of the inputs, by NAMES; RuntimeError with what the sanitizer says."""
    x, _, depth_weight, height_weight, width_weight = inputs
    file = folder / 'io'
    file.write_bytes(b''.join(tensor.view(torch.uint8).numpy().tobytes() for tensor in inputs))
    words = (str(x.dtype).removeprefix('torch.'), order, fault, multiprocessors, *x.shape, len(height_weight),
             len(width_weight), file)
    done = subprocess.run([program, *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    flat = torch.from_numpy(np.fromfile(f'{file}.out', np.uint8)).view(x.dtype)
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
