"""Layers in plain PyTorch: no registry, nothing of OpenMMLab."""
from .blocks import DiCEBlock, StridedDiCEBlock
from .dice import DiCEUnit, DimConv, DimFuse
from .units import conv_norm_act

__all__ = ['DiCEBlock', 'DiCEUnit', 'DimConv', 'DimFuse', 'StridedDiCEBlock', 'conv_norm_act']
