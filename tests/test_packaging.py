"""What a wheel holds and says, and the pinned versions against the allowed ones."""
import os
import runpy
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from dicenet_mm.zoo import zoo_models

ROOT = Path(__file__).parents[1]
# Where each folder of the tree lies in the wheel.
FOLDERS = {'dicenet_mm': 'dicenet_mm', 'ops': 'dicenet_mm/ops',
           'configs': 'dicenet_mm/.mim/configs', 'tools': 'dicenet_mm/.mim/tools'}


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    """The unpacked wheel, built offline from a copy, so that the tree stays as it is."""
    folder = tmp_path_factory.mktemp('packaging')
    source, unpacked = folder / 'source', folder / 'unpacked'
    for name in FOLDERS:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns('__pycache__', '*.so'))
        # What running the code leaves behind must not travel.
        (source / name / '__pycache__').mkdir()
        (source / name / '__pycache__' / 'left.pyc').touch()
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, source)
    # CXX: without the C++ part, as where there is no compiler.
    build = subprocess.run([sys.executable, '-m', 'pip', 'wheel', '--no-build-isolation', '--no-deps',
                            '--no-index', '--wheel-dir', folder, source],
                           capture_output=True, text=True, env={**os.environ, 'CXX': 'false'})
    assert build.returncode == 0, build.stdout + build.stderr
    built, = folder.glob('*.whl')
    zipfile.ZipFile(built).extractall(unpacked)
    return unpacked


@pytest.fixture(scope='module')
def metadata(wheel):
    path, = wheel.glob('*.dist-info/METADATA')
    return Parser().parsestr(path.read_text())


def files(folder, pattern='*'):
    return {path.relative_to(folder).as_posix() for path in folder.rglob(pattern) if path.is_file()}


@pytest.mark.parametrize('folder', FOLDERS)
def test_wheel_holds_every_module(wheel, folder):
    assert files(ROOT / folder, '*.py') <= files(wheel / FOLDERS[folder], '*.py')


def test_wheel_holds_the_weights_and_photographs(wheel):
    expected = {f'{folder}/{name}' for folder in ('weights', 'photographs')
                for name in files(ROOT / 'dicenet_mm' / folder)}
    assert len(expected) >= 5 and expected | {'py.typed'} <= files(wheel / 'dicenet_mm')


def test_wheel_holds_nothing_else(wheel):
    assert not [name for name in files(wheel) if '__pycache__' in name or 'csrc' in name]
    assert {path.name for path in wheel.iterdir() if path.suffix != '.dist-info'} == {
        'dicenet_mm', 'dicenet_mm_cli.py'}


def test_wheel_imports(wheel, tmp_path):
    code = ('import dicenet_mm.ops; from dicenet_mm.paths import config_file; '
            'from dicenet_mm.zoo import zoo_models; '
            'print(len(zoo_models()), config_file("quickstart.py").is_file()); print(dicenet_mm.ops.__file__)')
    run = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True,
                         env={**os.environ, 'PYTHONPATH': str(wheel)})
    assert run.returncode == 0, run.stderr
    # The last line: the forks print when they are imported.
    assert run.stdout.splitlines()[-2] == f'{len(zoo_models())} True'
    assert run.stdout.splitlines()[-1] == str(wheel / 'dicenet_mm' / 'ops' / '__init__.py')


def test_version(metadata):
    assert metadata['Version'] == runpy.run_path(ROOT / 'dicenet_mm' / 'version.py')['__version__']


def test_openmmlab_is_the_users_choice(metadata):
    """A hard dependency would install mmcv-lite over a compiled mmcv, and upstream over its forks."""
    hard = [Requirement(text).name for text in metadata.get_all('Requires-Dist') if 'extra ==' not in text]
    assert not [name for name in hard if 'mm' in name]


@pytest.mark.parametrize('stack, extra', [('tested', 'openmmlab'), ('forks', 'forks')])
def test_pinned_versions_are_allowed(metadata, stack, extra):
    lines = [line.split('#')[0].strip() for name in ('common', stack)
             for line in (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()]
    pins = [Requirement(line) for line in lines if line and not line.startswith('-r')]
    assert all(str(pin.specifier).startswith('==') for pin in pins)
    versions = {pin.name: str(pin.specifier)[2:] for pin in pins}
    for requirement in map(Requirement, metadata.get_all('Requires-Dist')):
        marker = requirement.marker
        if marker is None or marker.evaluate({'extra': extra}) or marker.evaluate({'extra': 'test'}):
            assert versions[requirement.name] in requirement.specifier


def test_a_folder_of_its_name_is_not_taken_for_it(tmp_path):
    """As where Python is started beside a clone."""
    (tmp_path / 'dicenet_mm').mkdir()
    code = 'from importlib.util import find_spec; print(find_spec("dicenet_mm").origin)'
    found = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()).name == '__init__.py'
