"""Registered models."""
from . import backbones, classifiers, decode_heads, detectors, necks, segmentors  # noqa: F401
