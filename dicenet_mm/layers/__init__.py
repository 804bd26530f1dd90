"""Layers in plain PyTorch: no registry, nothing of OpenMMLab."""
from .ablation import FIRST_LAYERS, UNITS, BottleneckBlock, make_first_layer, make_shuffle_block, make_unit
from .blocks import DiCEBlock, StridedDiCEBlock
from .dice import DiCEUnit, DimConv, DimFuse
from .units import conv_norm_act

__all__ = ['FIRST_LAYERS', 'UNITS', 'BottleneckBlock', 'DiCEBlock', 'DiCEUnit', 'DimConv', 'DimFuse',
           'StridedDiCEBlock', 'conv_norm_act', 'make_first_layer', 'make_shuffle_block', 'make_unit']
