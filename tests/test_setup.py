"""What setup.py compiles where there is a card, a CUDA toolkit or neither. Nothing is compiled here."""
import re
import runpy
from pathlib import Path

import pytest
import torch
from torch.utils import cpp_extension

import setuptools  # noqa: F401 # isort: skip (before distutils, which it replaces)
from distutils.core import run_setup  # isort: skip

ROOT = Path(__file__).parents[1]
MAJOR = 13  # of torch's CUDA, as far as these tests go


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Makes a machine: whether there is a card, and which release of nvcc its toolkit has, None for no nvcc."""
    def make(card, nvcc=None, toolkit=True, switch=None):
        (tmp_path / 'bin').mkdir()
        if nvcc:
            program = tmp_path / 'bin' / 'nvcc'
            program.write_text(f'#!/bin/sh\necho "Cuda compilation tools, release {nvcc}, V{nvcc}.88"\n')
            program.chmod(0o755)
        monkeypatch.setattr(cpp_extension, 'CUDA_HOME', str(tmp_path) if toolkit else None)
        monkeypatch.setattr(torch.version, 'cuda', f'{MAJOR}.0')
        monkeypatch.setattr(torch.cuda, 'is_available', lambda: card)
        monkeypatch.delenv('DICENET_MM_CUDA', raising=False)
        if switch is not None:
            monkeypatch.setenv('DICENET_MM_CUDA', switch)
    monkeypatch.chdir(ROOT)
    return make


def command():
    """setup.py's build_ext, ready to run."""
    build = run_setup('setup.py', ['build_ext'], stop_after='commandline').get_command_obj('build_ext')
    build.ensure_finalized()
    return build


def on_cuda(build):
    extension, = build.extensions
    return any(source.endswith('.cu') for source in extension.sources)


MACHINES = {  # that have a card and cannot compile for it: what is said
    'no toolkit': (dict(toolkit=False), 'there is no CUDA toolkit, or CUDA_HOME does not name its folder'),
    'no nvcc': (dict(), 'has no nvcc that runs'),
    'older': (dict(nvcc='12.8'), 'is of CUDA 12.8, and torch .* takes one of CUDA 13.0'),
    'newer': (dict(nvcc='14.1'), 'is of CUDA 14.1, and torch .* takes one of CUDA 13.0'),
    'no version': (dict(nvcc='unknown'), 'is of no version that it tells'),
}


@pytest.mark.parametrize('facts,sentence', MACHINES.values(), ids=MACHINES)
def test_without_a_fitting_toolkit_the_cpu_is_served_and_it_is_said(machine, capfd, facts, sentence):
    machine(card=True, **facts)
    assert not on_cuda(command())
    said, = (line for line in capfd.readouterr().out.splitlines() if line.startswith('dicenet_mm'))
    assert said.startswith('dicenet_mm: the operators are built for the CPU alone: there is a card, and ')
    assert re.search(sentence, said)


@pytest.mark.parametrize('facts,cuda', [
    (dict(card=True, nvcc=f'{MAJOR}.2'), True), (dict(card=False, nvcc=f'{MAJOR}.0'), False),
    (dict(card=True, nvcc=f'{MAJOR}.0', switch='0'), False), (dict(card=False, nvcc=f'{MAJOR}.0', switch='1'), True),
    (dict(card=False, toolkit=False), False), (dict(card=True, toolkit=False, switch='0'), False)], ids=str)
def test_cuda_is_compiled_where_there_is_a_card_or_it_is_asked_for(machine, capfd, facts, cuda):
    machine(**facts)
    assert on_cuda(command()) == cuda
    assert 'dicenet_mm' not in capfd.readouterr().out


@pytest.mark.parametrize('facts,sentence', MACHINES.values(), ids=MACHINES)
def test_insisting_ends_where_cuda_cannot_be_compiled(machine, facts, sentence):
    machine(card=False, switch='1', **facts)
    with pytest.raises(SystemExit, match=f'DICENET_MM_CUDA=1 asks for the operators on CUDA, and .*{sentence}'):
        runpy.run_path('setup.py')


def test_a_switch_of_another_value_is_refused(machine):
    machine(card=False, switch='yes')
    with pytest.raises(SystemExit, match="DICENET_MM_CUDA must be 0 or 1, got 'yes'"):
        runpy.run_path('setup.py')


@pytest.fixture
def compiler(monkeypatch):
    """Stands for the compilers: those named fail. Returns what was compiled in which order."""
    def make(*broken):
        calls = []

        def build_extensions(self):
            extension, = self.extensions
            calls.append('cuda' if on_cuda(self) else 'cpu')
            if calls[-1] in broken:
                raise RuntimeError(f'no header for {calls[-1]}')
            binary = Path(self.get_ext_fullpath(extension.name))
            binary.parent.mkdir(parents=True, exist_ok=True)
            binary.write_text(calls[-1])
        monkeypatch.setattr(cpp_extension.BuildExtension, 'build_extensions', build_extensions)
        return calls
    return make


def built(build, folder):
    """The binaries that a build leaves in ``folder``, where an earlier one had left one."""
    build.build_lib, build.inplace = str(folder), False
    binary = Path(build.get_ext_fullpath('dicenet_mm.ops._C'))
    binary.parent.mkdir(parents=True)
    binary.write_text('earlier')
    build.build_extensions()
    return [path.read_text() for path in folder.rglob('_C*')]


def test_where_cuda_does_not_compile_the_cpu_is_served(machine, compiler, tmp_path, capfd):
    machine(card=True, nvcc=f'{MAJOR}.0')
    calls = compiler('cuda')
    build = command()
    assert built(build, tmp_path / 'lib') == ['cpu'] and calls == ['cuda', 'cpu']
    assert 'cudart' not in build.extensions[0].libraries and set(build.extensions[0].extra_compile_args) == {'cxx'}
    assert 'built for the CPU alone: no header for cuda' in capfd.readouterr().out


def test_without_a_compiler_nothing_is_left(machine, compiler, tmp_path, capfd):
    machine(card=True, nvcc=f'{MAJOR}.0')
    compiler('cuda', 'cpu')
    assert built(command(), tmp_path / 'lib') == []
    assert 'were not built, and plain PyTorch serves instead: no header for cpu' in capfd.readouterr().out


def test_insisting_ends_where_cuda_does_not_compile(machine, compiler, tmp_path):
    machine(card=True, nvcc=f'{MAJOR}.0', switch='1')
    compiler('cuda')
    build = command()
    assert not build.extensions[0].optional
    with pytest.raises(RuntimeError, match='no header for cuda'):
        built(build, tmp_path / 'lib')
    assert not list((tmp_path / 'lib').rglob('_C*'))
