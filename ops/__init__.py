"""The operators of DiCENet: :func:`dim_conv` and the resizing of one axis that it is defined with.

:func:`backend` chooses between the compiled operators and PyTorch's own.
"""
from . import depthwise_conv, dim_conv_fuse, norm_act  # noqa: F401 (which registers them)
from .dim_conv import dim_conv
from .library import backend
from .reference import resize_axis

__all__ = ['backend', 'dim_conv', 'resize_axis']
