"""Heads of detectors."""
from .pointwise_ssd_head import PointwiseSSDHead

__all__ = ['PointwiseSSDHead']
