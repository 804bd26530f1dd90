"""Backbones, registered in mmengine's root registry."""
from .ablation import AblationMobileNet, AblationResNet, AblationShuffleNetV2
from .dicenet import DiCENet
from .espnetv2 import ESPNetv2

__all__ = ['AblationMobileNet', 'AblationResNet', 'AblationShuffleNetV2', 'DiCENet', 'ESPNetv2']
