"""Registered models."""
from . import backbones, decode_heads, detectors, segmentors  # noqa: F401
