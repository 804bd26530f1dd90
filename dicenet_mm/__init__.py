"""DiCENet for the OpenMMLab stack. Importing the package registers everything it has."""
from importlib.util import find_spec

if find_spec(f'{__name__}.ops') is None:  # the folder ops/ becomes dicenet_mm.ops by installing
    raise ImportError('this checkout of dicenet_mm is not installed: run "make setup" and use .venv/bin/python, or '
                      '"pip install --no-build-isolation -e ." in an environment of your own')

from . import compat  # noqa: E402

compat.apply()

from . import datasets, engine, evaluation, models, visualization  # noqa: E402, F401
from .inference.fuse import fuse  # noqa: E402
from .version import __version__  # noqa: E402

__all__ = ['__version__', 'fuse']
