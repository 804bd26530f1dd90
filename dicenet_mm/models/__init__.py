"""Registered models."""
from . import backbones, classifiers, detectors, necks  # noqa: F401
