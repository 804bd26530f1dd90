"""What drives a training: loops, hooks, learning rates and the runner."""
from . import hooks, loops, schedulers  # noqa: F401
from .runner import QuietRunner

__all__ = ['QuietRunner']
