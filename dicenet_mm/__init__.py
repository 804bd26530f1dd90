"""DiCENet for the OpenMMLab stack. Importing the package registers everything it has."""
from . import compat

compat.apply()

from . import engine, models  # noqa: E402, F401
from .version import __version__  # noqa: E402

__all__ = ['__version__']
