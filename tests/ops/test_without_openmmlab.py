"""The operators and layers where PyTorch alone is installed, as on many a machine with a card."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dicenet_mm import compat

ROOT = Path(__file__).parents[2]
OPENMMLAB = [name for name in compat.TESTED if name.startswith('mm')]


@pytest.fixture(scope='module')
def environment(tmp_path_factory) -> dict[str, str]:
    """Of a process to which none of OpenMMLab's packages is installed."""
    folder = tmp_path_factory.mktemp('site')
    (folder / 'sitecustomize.py').write_text(f'import sys\nsys.modules.update(dict.fromkeys({OPENMMLAB}))\n')
    return {**os.environ, 'PYTHONPATH': str(folder), 'OMP_NUM_THREADS': '1'}


def test_operators_and_layers_import(environment):
    code = f"""
import warnings
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter('always')
    import dicenet_mm
print(*(str(warning.message) for warning in said), sep='\\n')
import sys, torch
from dicenet_mm.layers import DiCEUnit
from dicenet_mm.ops import dim_conv
DiCEUnit(8, 8, (7, 7))(torch.rand(2, 8, 9, 9)).sum().backward()
assert not any(sys.modules.get(name) for name in {OPENMMLAB})
try:
    dicenet_mm.fuse
except ImportError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, '-c', code], cwd=ROOT, env=environment, capture_output=True, text=True,
                         timeout=120)
    assert run.returncode == 0, run.stderr
    sentence = (f'dicenet_mm needs {", ".join(OPENMMLAB)} for all but dicenet_mm.ops and dicenet_mm.layers: '
                'pip install --no-build-isolation -e ".[openmmlab]" in its checkout, or ".[forks]" for the maintained '
                'forks')
    assert run.stdout.splitlines() == [sentence, sentence]


def test_their_tests_run(environment):
    """Those of dim_conv on the CPU, and on a card those of CUDA."""
    run = subprocess.run([sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', 'tests/ops/test_cuda.py',
                          'tests/ops/test_dim_conv.py', '-k', 'naive or layouts'],
                         cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0 and ' passed' in run.stdout, run.stdout + run.stderr
