"""Backbones, registered in mmengine's root registry."""
from .ablation import AblationMobileNet, AblationResNet, AblationShuffleNetV2
from .dicenet import DiCENet

__all__ = ['AblationMobileNet', 'AblationResNet', 'AblationShuffleNetV2', 'DiCENet']
