"""What several test files share."""
import os
from pathlib import Path

import pytest
import torch
from mmengine.registry import DefaultScope
from mmengine.runner import set_random_seed
from mmengine.visualization import Visualizer

import dicenet_mm  # noqa: F401 (closes the upstream gaps before a test imports anything of OpenMMLab)

torch.set_num_threads(1)  # small tensors: more threads only wait for each other on a busy machine


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup():
    """A fixture draws the same numbers whichever test it is made for."""
    set_random_seed(0)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call():
    """A test draws the same numbers whichever ran before; so does a training that it starts without a seed."""
    set_random_seed(0)


@pytest.fixture(autouse=True)
def _nothing_of_other_tests():
    """Hooks draw with the newest visualizer of the process, and registries look in its newest default scope."""
    Visualizer._instance_dict.clear()
    DefaultScope._instance_dict.clear()


@pytest.fixture(scope='session')
def shared() -> Path:
    """The folder with real images, the authors' weights and reference outputs."""
    folder = os.environ.get('DICENET_MM_SHARED')
    if not folder:
        pytest.skip('DICENET_MM_SHARED names no folder with real data')
    return Path(folder).resolve()
