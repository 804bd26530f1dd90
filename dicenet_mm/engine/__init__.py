"""What drives a training: hooks and learning rates."""
from . import hooks, schedulers  # noqa: F401
