"""What several test files share."""
import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch

import dicenet_mm  # noqa: F401 (closes the upstream gaps before a test imports anything of OpenMMLab)
from dicenet_mm.ops import library

torch.set_num_threads(1)  # small tensors: more threads only wait for each other on a busy machine


def set_random_seed():
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup():
    """A fixture draws the same numbers whichever test it is made for."""
    set_random_seed()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Tests of CUDA need a card. Where there is one, operators that were not built for it are a failure."""
    if item.get_closest_marker('cuda'):
        if not torch.cuda.is_available():
            pytest.skip('needs a CUDA device')
        if 'cuda' not in library.DEVICES:
            pytest.fail('there is a CUDA device, and the operators were not built for it: DICENET_MM_CUDA=1 pip '
                        'install --no-build-isolation -e . says why', pytrace=False)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call():
    """A test draws the same numbers whichever ran before; so does a training that it starts without a seed."""
    set_random_seed()


@pytest.fixture(autouse=True)
def _nothing_of_other_tests():
    """Hooks draw with the newest visualizer of the process, and registries look in its newest default scope."""
    if not dicenet_mm.compat.missing():
        from mmengine.registry import DefaultScope
        from mmengine.visualization import Visualizer
        Visualizer._instance_dict.clear()
        DefaultScope._instance_dict.clear()


@pytest.fixture(scope='session')
def shared() -> Path:
    """The folder with real images, the authors' weights and reference outputs."""
    folder = os.environ.get('DICENET_MM_SHARED')
    if not folder:
        pytest.skip('DICENET_MM_SHARED names no folder with real data')
    return Path(folder).resolve()
