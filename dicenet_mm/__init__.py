"""DiCENet for the OpenMMLab stack. Importing the package registers everything it has."""
import warnings
from importlib.util import find_spec

if find_spec(f'{__name__}.ops') is None:
    raise ImportError('dicenet_mm/ops, a link to the folder ops, got lost when these files were copied: '
                      'ln -s ../ops dicenet_mm/ops, or clone the project with git')

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
