"""What drives a training: loops, hooks and learning rates."""
from . import hooks, loops, schedulers  # noqa: F401
