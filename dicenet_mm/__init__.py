"""DiCENet for the OpenMMLab stack. Importing the package registers everything it has."""
import warnings
from importlib.util import find_spec

if find_spec(f'{__name__}.ops') is None:  # the folder ops/ becomes dicenet_mm.ops by installing
    raise ImportError('this checkout of dicenet_mm is not installed: run "make setup" and use .venv/bin/python, or '
                      '"pip install --no-build-isolation -e ." in an environment of your own')

from . import compat  # noqa: E402

if _missing := compat.missing():
    warnings.warn(_missing, stacklevel=2)

    def __getattr__(name):
        raise AttributeError(name) if name.startswith('__') else ImportError(_missing)
else:
    compat.apply()
    from . import datasets, engine, evaluation, models, visualization  # noqa: F401
    from .inference.fuse import fuse  # noqa: F401

from .version import __version__  # noqa: E402

__all__ = ['__version__', 'fuse']
