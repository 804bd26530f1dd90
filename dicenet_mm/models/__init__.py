"""Registered models."""
from . import backbones  # noqa: F401
