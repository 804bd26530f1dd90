"""The engine without PyTorch, against its operators in float64: compiled for 64-bit ARM and run by an emulator, and
compiled for this machine with the sanitizers of addresses and of undefined behaviour, which end it."""
import functools
import os
import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dicenet_mm.layers import DiCEBlock, DiCEUnit, EfficientPyramidPool, StridedDiCEBlock, UpsampleAdd
from dicenet_mm.layers.pyramid_pool import branch_size
from dicenet_mm.ops import inference, library, reference
from tests.naive import randomised

CPU = Path(__file__).parents[2] / 'ops/csrc/cpu'
ON_ARM = ('aarch64-linux-gnu-g++', '-O1', '-static'), ('qemu-aarch64',), ('neon', 'portable')
# The sanitizer's checks as calls, not in line, compile in a quarter of the time.
HERE = (('g++', '-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=undefined', '--param',
         'asan-instrumentation-with-call-threshold=0'), (), ('avx2', 'avx512', 'portable'))
# The names of the sets that this machine runs, not of those that the package was built with.
PROGRAMS = {'neon': ON_ARM, **dict.fromkeys(library.INSTRUCTION_SETS if platform.machine() == 'x86_64' else (), HERE)}
pytestmark = pytest.mark.skipif(not CPU.exists(), reason='needs the sources of the kernels')


@pytest.fixture(scope='module')
def binaries(tmp_path_factory):
    """Compiles the program, once for each set of tools."""
    @functools.cache
    def binary(compiler, instruction_sets):
        target = tmp_path_factory.mktemp('engine') / 'kernels'
        sources = [Path(__file__).with_name('engine_kernels.cpp'),
                   *(CPU / f'{name}.cpp' for name in ('plan', 'dispatch', 'parallel')),
                   *(CPU / f'isa/{name}.cpp' for name in instruction_sets)]
        objects = [target.with_name(f'{source.stem}.o') for source in sources]
        for source, made in zip(sources, objects):
            # What it asserts of vectors is asserted of those that this machine has.
            own = ['-mavx2', '-mfma'] if source == sources[0] and 'avx2' in instruction_sets else []
            subprocess.run([*compiler, '-std=c++20', '-ffp-contract=fast', '-Wno-psabi', f'-I{CPU}', *own, '-c', source,
                            '-o', made], check=True, timeout=300)
        subprocess.run([*compiler, *objects, '-o', target], check=True, timeout=60)
        return target

    return binary


@pytest.fixture(params=PROGRAMS)
def program(request, binaries):
    """Takes the name of a kernel, sizes, and arrays; returns all that it gives, as one array."""
    compiler, runner, instruction_sets = PROGRAMS[request.param]
    missing = [tool for tool in (compiler[0], *runner) if shutil.which(tool) is None]
    if missing:
        pytest.skip(f'needs {" and ".join(missing)}: apt-get install g++ g++-aarch64-linux-gnu qemu-user')
    binary = binaries(compiler, instruction_sets)

    def run(name, *sizes, arrays=()):
        given = b''.join(np.ascontiguousarray(array.detach().numpy(), np.float32).tobytes() for array in arrays)
        done = subprocess.run([*runner, binary, name, *map(str, sizes)], input=given, capture_output=True, timeout=60,
                              env=os.environ | {'DICENET_MM_ISA': request.param})
        assert done.returncode == 0, done.stderr.decode()[-3000:]
        return torch.from_numpy(np.frombuffer(done.stdout, np.float32).copy())

    return run


@torch.no_grad()
def near(got, expected):
    torch.testing.assert_close(got.double().view(expected.shape), expected, rtol=1e-5, atol=1e-5)


def test_vectors_are_what_they_say(program):
    """Masks, loads, stores, gathers and permutations of both types, for every mask and count."""
    program('vectors')


@pytest.mark.parametrize('chunk', [3, 8])
@pytest.mark.parametrize('size,kernels', [((7, 7), (7, 7)), ((1, 1), (1, 1)), ((5, 33), (5, 33)), ((10, 9), (7, 14)),
                                          ((3, 8), (6, 5)), ((19, 19), (14, 14))])
def test_dim_conv(program, size, kernels, chunk):
    x, weights = torch.randn(1, 8, *size), [torch.randn(count, 3, 3) for count in (8, *kernels)]
    expected = reference.dim_conv(x.double(), *(weight.double() for weight in weights))[0]
    near(program('dim_conv', 8, *size, *kernels, chunk, arrays=(x, *weights)), expected)


@pytest.mark.parametrize('images', [1, 5])
@pytest.mark.parametrize('size,kernels', [((7, 7), (7, 7)), ((3, 5), (7, 7)), ((14, 14), (14, 14)), ((10, 10), (7, 7)),
                                          ((1, 1), (1, 1)), ((28, 3), (28, 3)), ((19, 19), (14, 14))])
def test_dice_unit(program, size, kernels, images):
    """One image at a time, and four in the lanes of vectors."""
    x, unit = torch.randn(images, 9, *size), randomised(DiCEUnit(9, 9, kernels))
    weights, sizes = inference.pack_unit(unit.packed())
    got = program('dice_unit', images, 9, *size, *sizes[1:], len(weights), arrays=(x, weights))
    near(got, unit.double()(x.double()))


@pytest.mark.parametrize('images', [1, 5])
@pytest.mark.parametrize('strided', [False, True])
def test_dice_stage(program, strided, images):
    channels, size = (10, (9, 14)) if strided else (20, (5, 7))
    blocks = [StridedDiCEBlock(10, (5, 7))] * strided + [DiCEBlock(20, 26, (5, 7)), DiCEBlock(26, 26, (5, 7))]
    stage, x = randomised(nn.Sequential(*blocks)), torch.randn(images, channels, *size)
    packs = [block.packed() for block in blocks]
    weights, _, sizes = inference.pack_stage(packs[0] if strided else [], packs[strided:])
    got = program('dice_stage', images, channels, *size, int(strided), len(weights), *sizes, arrays=(x, weights))
    near(got, stage.double()(x.double()))


@pytest.mark.parametrize('planes,channels,voxels', [(5, 16, 12), (7, 40, 49), (1, 3, 1), (16, 20, 27), (3, 17, 14)])
def test_pointwise(program, planes, channels, voxels):
    x, weight = torch.randn(planes, voxels), torch.randn(channels, planes)
    bias, slope = torch.randn(2, channels)
    expected = F.prelu((weight.double() @ x.double() + bias[:, None])[None], slope.double())[0]
    packed = inference.pack_point(weight, bias, slope)
    near(program('pointwise', planes, channels, voxels, arrays=(x, *packed)), expected)


@pytest.mark.parametrize('size', [(1, 1), (6, 7), (9, 16), (2, 33), (4, 121)])
def test_strided_convolution_and_maxima(program, size):
    x, weight = torch.randn(1, 2, *size), torch.randn(19, 2, 3, 3)
    bias, slope = torch.randn(2, 19)
    wide = x.double()
    conv = F.prelu(F.conv2d(wide, weight.double(), bias.double(), stride=2, padding=1), slope.double())
    expected = torch.cat((conv, F.max_pool2d(wide, 3, 2, 1)), dim=1)
    near(program('strided', 2, *size, 19, arrays=(x, *inference.pack_point(weight, bias, slope))), expected)


@pytest.mark.parametrize('size', [(1, 1), (6, 7), (9, 16), (2, 33)])
def test_depthwise(program, size):
    x, weight = torch.randn(1, 5, *size), torch.randn(5, 1, 3, 3)
    bias, slope = torch.randn(2, 5)
    expected = F.prelu(F.conv2d(x.double(), weight.double(), bias.double(), padding=1, groups=5), slope.double())
    near(program('depthwise', 5, *size, arrays=(x, inference.pack_spatial(weight, bias, slope))), expected)


@pytest.mark.parametrize('size', [(8, 8), (13, 6)])
def test_pyramid_pool(program, size):
    pool, x = randomised(EfficientPyramidPool(4, 4, 4)), torch.randn(1, 4, *size)
    weights, = pool.fused().pool.weights
    sizes = [side for scale in pool.scales for side in branch_size(size, scale)]
    expected = inference.pyramid_pool(x.double(), weights.double(), sizes)
    near(program('pyramid_pool', 4, *size, *sizes, arrays=(x, weights)), expected)


def test_upsample_add(program):
    layer, low, high = randomised(UpsampleAdd(4)), torch.randn(1, 4, 5, 4), torch.randn(1, 4, 9, 13)
    weights, = layer.fused().weights
    got = program('upsample_add', 4, 5, 4, 9, 13, arrays=(low, high, weights))
    near(got, layer.double()(low.double(), high.double()))


@pytest.mark.parametrize('seed', range(6))
def test_shapes_at_random(program, seed):
    """Every layer again, at sizes that nobody chose."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*most):
        return tuple(int(torch.randint(1, n + 1, (), generator=generator)) for n in most)

    test_dim_conv(program, draw(20, 40), draw(20, 30), *draw(8))
    test_dice_unit(program, draw(12, 12), draw(15, 15), *draw(18))
    test_dice_unit(program, draw(30, 50), draw(30, 30), 1)
    test_pointwise(program, *draw(70, 70, 300))
    test_strided_convolution_and_maxima(program, draw(20, 150))
    test_depthwise(program, draw(30, 100))
