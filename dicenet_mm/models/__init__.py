"""Registered models."""
from . import (  # noqa: F401
    backbones,
    classifiers,
    decode_heads,
    dense_heads,
    detectors,
    necks,
    segmentors,
    task_modules,
)
