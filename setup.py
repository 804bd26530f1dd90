"""What pyproject.toml cannot express: where `dicenet_mm.ops` lies, its compiled part, what else a wheel holds."""
import os
import shutil
import sys
from pathlib import Path

import torch
from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from torch.utils.cpp_extension import BuildExtension, CppExtension, CUDAExtension


class BuildWithConfigs(build_py):
    """Puts configs, tools and the list of weights into the built package under `.mim/`, as OpenMMLab's have them."""

    def run(self):
        super().run()
        if self.editable_mode:  # the package is then the checkout itself, which stays clean
            return
        for folder in ('configs', 'tools'):
            target = Path(self.build_lib, 'dicenet_mm', '.mim', folder)
            shutil.rmtree(target, ignore_errors=True)  # a file deleted since the last build must not survive
            shutil.copytree(folder, target, ignore=shutil.ignore_patterns('__pycache__'))
        shutil.copy('model-index.yml', Path(self.build_lib, 'dicenet_mm', '.mim'))


class BuildOps(BuildExtension):
    """Builds the compiled operators if the machine can; without them the package runs on plain PyTorch."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, no_python_abi_suffix=True, **kwargs)

    def build_extensions(self):
        try:
            super().build_extensions()
        except Exception as error:  # no compiler, too old a one, no ninja, no CUDA toolkit
            for extension in self.extensions:  # what an earlier build left must not pass for this one's
                Path(self.get_ext_fullpath(extension.name)).unlink(missing_ok=True)
            print(f'dicenet_mm: the compiled operators were not built, and plain PyTorch serves instead: {error}')


def openmp_flags():
    """For at::parallel_for. Apple's compiler has no OpenMP of its own; without Homebrew's (`brew install libomp`)
    headers the operators run on one thread."""
    if sys.platform != 'darwin':
        return ['-fopenmp']
    headers = [path for path in map(Path, ('/opt/homebrew/opt/libomp/include', '/usr/local/opt/libomp/include'))
               if (path / 'omp.h').exists()]
    return ['-Xpreprocessor', '-fopenmp', f'-I{headers[0]}'] if headers else []


def ops_extension():
    """CUDA is compiled where there is a card, or where DICENET_MM_CUDA=1 says so; =0 forbids it."""
    cuda = os.environ.get('DICENET_MM_CUDA', '1' if torch.cuda.is_available() else '0')
    if cuda not in ('0', '1'):
        raise ValueError(f'DICENET_MM_CUDA must be 0 or 1, got {cuda!r}')
    folders = ['ops/csrc', 'ops/csrc/cpu', 'ops/csrc/cpu/isa'] + (['ops/csrc/cuda'] if cuda == '1' else [])
    sources = sorted(str(path) for folder in folders for path in Path(folder).glob('*.c*') if path.suffix != '.cuh')
    # OpenMP is not linked, so that torch's own library of it stays the only one in the process.
    # Contraction to fused multiply-adds is what the kernels' speed rests on. No -march: the choice is made at run time.
    cxx = ['-O3', '-g0', *openmp_flags(), '-ffp-contract=fast', '-Wno-maybe-uninitialized', '-Wno-psabi']
    args = dict(cxx=cxx, nvcc=['-O3']) if cuda == '1' else dict(cxx=cxx)
    return (CUDAExtension if cuda == '1' else CppExtension)(
        'dicenet_mm.ops._C', sources, extra_compile_args=args, optional=True)


setup(
    packages=[
        *find_packages(include=['dicenet_mm', 'dicenet_mm.*']),
        'dicenet_mm.ops',
        *(f'dicenet_mm.ops.{package}' for package in find_packages('ops')),
    ],
    package_dir={'dicenet_mm.ops': 'ops'},
    include_package_data=True,  # what MANIFEST.in names inside the packages
    exclude_package_data={'dicenet_mm.ops': ['csrc/*', 'csrc/*/*', 'csrc/*/*/*']},
    ext_modules=[ops_extension()],
    cmdclass={'build_py': BuildWithConfigs, 'build_ext': BuildOps},
)
