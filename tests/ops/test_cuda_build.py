"""The CUDA sources under nvcc, without a card: registers and spills, and the binary that torch loads."""
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.ops.emulation.build import CUDA_SOURCES, HERE, ROOT, cached

NVCC = shutil.which('nvcc')
ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)

pytestmark = pytest.mark.skipif(NVCC is None, reason='needs nvcc')


def nvcc_version() -> str:
    text = subprocess.run([NVCC, '--version'], capture_output=True, text=True, timeout=60).stdout
    return re.search(r'release ([\d.]+)', text)[1]


# All that the sources may include: what was compiled stands for these alone.
HEADERS = sorted(path for folder in (ROOT / 'ops/csrc', CUDA_SOURCES) for path in folder.glob('*.*h'))

needs_cuda_torch = pytest.mark.skipif(
    NVCC is None or (torch.version.cuda or '').split('.')[0] != nvcc_version().split('.')[0],
    reason="needs torch's CUDA build and an nvcc of its major version")


@pytest.mark.timeout(1500)
def test_registers_without_spills():
    """Every kernel in every dtype holds to what its launch bounds promise, on every architecture."""
    source = HERE / 'instantiate.cu'

    def build(folder):
        targets = [f'-gencode=arch=compute_{a},code=sm_{a}' for a in ARCHITECTURES]
        done = subprocess.run(
            [NVCC, '-std=c++17', '-c', '--threads', '2', '-Xptxas', '-v', *targets, f'-I{CUDA_SOURCES}',
             source, '-o', folder / 'object'], capture_output=True, text=True, timeout=1200)
        assert done.returncode == 0, done.stderr
        (folder / 'object').unlink()
        (folder / 'log').write_text(done.stderr)

    kernels = [*CUDA_SOURCES.glob('*.cuh'), ROOT / 'ops/csrc/packed.h']
    log = cached('registers', [source, *kernels], build, nvcc_version()) / 'log'
    kernels = re.findall(r"Compiling entry function '(\w+)' for 'sm_(\d+)'.*?(\d+) bytes spill stores, "
                         r'(\d+) bytes spill loads.*?Used (\d+) registers', log.read_text(), flags=re.DOTALL)
    # Of each dtype 4 march, resized_march, 2 resized_branch, 2 weight_gradient, sum_splits; write_band in float and
    # double. Of inference in each but double 3 march, resized_march and 3 elementwise ones, squeeze_means once, and in
    # half and bfloat16 2 resized_branch with weights in float.
    assert len(kernels) == len(ARCHITECTURES) * (4 * 10 + 2 + 3 * 7 + 1 + 2 * 2)
    for name, architecture, stores, loads, registers in kernels:
        where = f'{name} on sm_{architecture}: {registers} registers, {stores} + {loads} bytes spilled'
        double = re.search(r'Id[EL]', name) or re.search(r'Idd', name)
        if 'resized_march' in name:
            most = 255 if double else 128
        else:
            most = 128 if double else 64 if '5march' in name and 'PassE2' not in name else 80
        assert int(stores) == int(loads) == 0 and int(registers) <= most, where


def cuda_environment() -> dict:
    """What a build needs where nvcc is a wrapper outside its toolkit and there is no card."""
    command = [NVCC, '--dryrun', '-c', HERE / 'instantiate.cu']
    dry = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stderr
    home = Path(re.search(r'^#\$ TOP=(.*)$', dry, re.MULTILINE)[1]).resolve()
    return {**os.environ, 'CUDA_HOME': str(home), 'TORCH_CUDA_ARCH_LIST': '9.0', 'MAX_JOBS': '2',
            'DICENET_MM_CUDA': '1'}


@needs_cuda_torch
@pytest.mark.timeout(1500)
def test_torch_loads_the_cuda_operators():
    """Schemas and CUDA kernels alone, for one architecture."""
    sources = [ROOT / 'ops/csrc/dim_conv.cpp', *sorted(CUDA_SOURCES.glob('*.cu'))]

    def build(folder):
        script = ('import sys; from torch.utils.cpp_extension import load; '
                  'load("dicenet_mm_cuda", sys.argv[2:], build_directory=sys.argv[1], '
                  'is_python_module=False, extra_cflags=["-O0"], extra_cuda_cflags=["-Xcompiler=-O0"])')
        done = subprocess.run([sys.executable, '-c', script, folder, *sources], env=cuda_environment(),
                              capture_output=True, text=True, timeout=1200)
        assert done.returncode == 0, done.stdout + done.stderr

    folder = cached('cuda', [*sources, *HEADERS], build, torch.__version__)
    script = ('import sys, torch; torch.ops.load_library(sys.argv[1]); '
              'has = torch._C._dispatch_has_kernel_for_dispatch_key; '
              'operators = ("dim_conv", "dim_conv_backward", "dice_unit", "dice_stage_rows", "bias_prelu"); '
              'assert all(has(f"dicenet_mm::{operator}", "CUDA") for operator in operators)')
    subprocess.run([sys.executable, '-c', script, folder / 'dicenet_mm_cuda.so'], check=True, timeout=120)


@needs_cuda_torch
@pytest.mark.skipif(os.environ.get('DICENET_MM_TEST_BUILD') != '1',
                    reason='takes minutes; DICENET_MM_TEST_BUILD=1 runs it')
def test_the_whole_extension(tmp_path):
    """setup.py compiles CPU and CUDA into one binary, which the package then finds."""
    subprocess.run([sys.executable, 'setup.py', 'build', '--build-base', tmp_path], cwd=ROOT, check=True,
                   env=cuda_environment(), timeout=3600)
    package, = tmp_path.glob('lib*')
    script = ('import sys; from dicenet_mm.ops import library; '
              'assert library.__file__.startswith(sys.argv[1]) and {"cpu", "cuda"} <= library.DEVICES')
    subprocess.run([sys.executable, '-c', script, package], cwd=package, check=True,
                   env=dict(os.environ, PYTHONPATH=str(package)), timeout=120)
