"""What pyproject.toml cannot express: the compiled operators, and what else a wheel holds."""
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import torch
from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from torch.utils import cpp_extension


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


class BuildOps(cpp_extension.BuildExtension):
    """Builds the compiled operators as far as the machine can: without CUDA the CPU's, without a compiler none, and the
    package runs on plain PyTorch. DICENET_MM_CUDA=1 takes no less than everything.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, no_python_abi_suffix=True, **kwargs)

    def build_extensions(self):
        try:
            super().build_extensions()
        except Exception as error:  # no compiler, too old a one, no ninja, headers that a CUDA toolkit lacks
            self._remove_binaries()
            if cuda_switch() == '1':
                raise
            extension, = self.extensions
            if not compiles_cuda(extension):
                print(f'dicenet_mm: the compiled operators were not built, and plain PyTorch serves instead: {error}')
                return
            print(f'dicenet_mm: CUDA did not compile, and the operators are built for the CPU alone: {error}')
            for name in ('sources', 'include_dirs', 'library_dirs', 'libraries', 'extra_compile_args'):
                setattr(extension, name, getattr(ops_extension(cuda=False), name))
            self.build_extensions()

    def _remove_binaries(self):
        """What an earlier build left must not pass for this one's."""
        for extension in self.extensions:
            Path(self.get_ext_fullpath(extension.name)).unlink(missing_ok=True)


def compiles_cuda(extension):
    return any(source.endswith('.cu') for source in extension.sources)


def cuda_switch():
    """DICENET_MM_CUDA: '1' insists on CUDA, '0' leaves it out, '' takes it where there is a card and a toolkit."""
    switch = os.environ.get('DICENET_MM_CUDA', '')
    if switch not in ('', '0', '1'):
        sys.exit(f'dicenet_mm: DICENET_MM_CUDA must be 0 or 1, got {switch!r}')
    return switch


def cuda_problem():
    """Why nothing can be compiled for CUDA here, or None."""
    wanted, home = torch.version.cuda, cpp_extension.CUDA_HOME
    if wanted is None:
        return f'torch {torch.__version__} was built without CUDA'
    if home is None:
        return (f'there is no CUDA toolkit, or CUDA_HOME does not name its folder; torch {torch.__version__} takes one '
                f'of CUDA {wanted}')
    nvcc = Path(home, 'bin', 'nvcc')
    try:
        text = subprocess.run([nvcc, '--version'], capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        return f'the CUDA toolkit in {home} has no nvcc that runs ({error})'
    release = re.search(r'release (\d+)\.\d+', text)
    if release is None or release[1] != wanted.split('.')[0]:
        found = f'of CUDA {release[0].removeprefix("release ")}' if release else 'of no version that it tells'
        return f'{nvcc} is {found}, and torch {torch.__version__} takes one of CUDA {wanted}'
    return None


def wants_cuda():
    """Whether to compile for CUDA; a toolkit that is missing or does not fit is said in one sentence."""
    switch = cuda_switch()
    if switch == '0' or not switch and not torch.cuda.is_available():
        return False
    problem = cuda_problem()
    if problem and switch:
        sys.exit(f'dicenet_mm: DICENET_MM_CUDA=1 asks for the operators on CUDA, and {problem}.')
    if problem:
        print(f'dicenet_mm: the operators are built for the CPU alone: there is a card, and {problem}.')
    return problem is None


def openmp_flags():
    """For at::parallel_for. Apple's compiler has no OpenMP of its own; without Homebrew's (`brew install libomp`)
    headers the operators run on one thread."""
    if sys.platform != 'darwin':
        return ['-fopenmp']
    headers = [path for path in map(Path, ('/opt/homebrew/opt/libomp/include', '/usr/local/opt/libomp/include'))
               if (path / 'omp.h').exists()]
    return ['-Xpreprocessor', '-fopenmp', f'-I{headers[0]}'] if headers else []


def ops_extension(cuda):
    folders = ['csrc', 'csrc/cpu', 'csrc/cpu/isa'] + (['csrc/cuda'] if cuda else [])
    sources = sorted(str(path) for folder in folders for path in Path('dicenet_mm/ops', folder).glob('*.c*')
                     if path.suffix != '.cuh')
    # OpenMP is not linked, so that torch's own library of it stays the only one in the process.
    # Contraction to fused multiply-adds is what the kernels' speed rests on. No -march: the choice is made at run time.
    cxx = ['-O3', '-g0', *openmp_flags(), '-ffp-contract=fast', '-Wno-maybe-uninitialized', '-Wno-psabi']
    args = dict(cxx=cxx, nvcc=['-O3']) if cuda else dict(cxx=cxx)
    # An optional extension that was not built is none that an editable install misses.
    return (cpp_extension.CUDAExtension if cuda else cpp_extension.CppExtension)(
        'dicenet_mm.ops._C', sources, extra_compile_args=args, optional=cuda_switch() != '1')


setup(
    packages=find_packages(include=['dicenet_mm', 'dicenet_mm.*']),
    py_modules=['dicenet_mm_cli'],
    package_dir={'': '.'},  # so that an editable install is an entry of the path, found before a folder of that name
    # Named here, since setuptools does not find what MANIFEST.in names below a package_dir of '.'.
    package_data={'dicenet_mm': ['py.typed', 'weights/*', 'photographs/*']},
    exclude_package_data={'dicenet_mm.ops': ['csrc/*', 'csrc/*/*', 'csrc/*/*/*']},
    ext_modules=[ops_extension(wants_cuda())],
    cmdclass={'build_py': BuildWithConfigs, 'build_ext': BuildOps},
)
