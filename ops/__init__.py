"""The operators of DiCENet: :func:`dim_conv` and the resizing of one axis that it is defined with."""
from .functional import dim_conv
from .reference import resize_axis

__all__ = ['dim_conv', 'resize_axis']
