"""Layers in plain PyTorch: no registry, nothing of OpenMMLab."""
from .blocks import DiCEBlock, StridedDiCEBlock
from .dice import DiCEUnit, DimConv, DimFuse
from .eesp import EESP, EESPBlock, StridedEESPBlock
from .pyramid_pool import EfficientPointWise, EfficientPyramidPool
from .units import NormAct, conv_norm_act

__all__ = ['EESP', 'DiCEBlock', 'DiCEUnit', 'DimConv', 'DimFuse', 'EESPBlock', 'EfficientPointWise',
           'EfficientPyramidPool', 'NormAct', 'StridedDiCEBlock', 'StridedEESPBlock', 'conv_norm_act']
