"""Layers in plain PyTorch: no registry, nothing of OpenMMLab."""
from .ablation import FIRST_LAYERS, UNITS, BottleneckBlock, make_first_layer, make_shuffle_block, make_unit
from .blocks import DiCEBlock, StridedDiCEBlock
from .dice import DiCEUnit, DimConv, DimFuse
from .eesp import EESP, EESPBlock, StridedEESPBlock
from .pyramid_pool import EfficientPointWise, EfficientPyramidPool, UpsampleAdd
from .units import NormAct, conv_norm_act

__all__ = ['EESP', 'FIRST_LAYERS', 'UNITS', 'BottleneckBlock', 'DiCEBlock', 'DiCEUnit', 'DimConv', 'DimFuse',
           'EESPBlock', 'EfficientPointWise', 'EfficientPyramidPool', 'NormAct', 'StridedDiCEBlock', 'StridedEESPBlock',
           'UpsampleAdd', 'conv_norm_act', 'make_first_layer', 'make_shuffle_block', 'make_unit']
