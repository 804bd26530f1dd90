"""Packages that are not part of the base installation."""
from importlib import import_module
from types import ModuleType

from .errors import UserError


def require(name: str, extra: str, what: str) -> ModuleType:
    """Import an optional package.

    Args:
        name: Of the module.
        extra: The group of optional packages that it belongs to.
        what: What needs it.

    Raises:
        UserError: If it is not installed, saying how to install it.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise UserError(f'{what} needs the package {error.name}, which is not installed: '
                        f'pip install -r requirements/{extra}.txt') from error
