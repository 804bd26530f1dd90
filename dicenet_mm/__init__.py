"""DiCENet for the OpenMMLab stack. Importing the package registers everything it has."""
from . import compat

compat.apply()

from . import datasets, engine, evaluation, models, visualization  # noqa: E402, F401
from .fuse import fuse  # noqa: E402
from .version import __version__  # noqa: E402

__all__ = ['__version__', 'fuse']
