"""What drives a training: loops, hooks, learning rates and the runner."""
from . import hooks, loops, schedulers  # noqa: F401
from .mixed_precision import BFloat16OptimWrapper, cpu_has_bfloat16
from .runner import QuietRunner

__all__ = ['BFloat16OptimWrapper', 'QuietRunner', 'cpu_has_bfloat16']
