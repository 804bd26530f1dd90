"""How wide the maps of a backbone are."""
import torch
from mmengine.registry import MODELS


def backbone_channels(backbone: dict) -> tuple[int, ...]:
    """Channels of each output of a configured backbone: what its ``out_channels`` says, or else what it returns.

    Shapes alone are computed, and nothing is initialised.
    """
    with torch.device('meta'), torch.no_grad():
        built = MODELS.build(backbone)
        channels = getattr(built, 'out_channels', None)
        if isinstance(channels, (list, tuple)):
            return tuple(channels)
        built.eval()  # which does not return the backbone in mmdet and mmpretrain
        return tuple(level.shape[1] for level in built(torch.empty(1, 3, 64, 64)))
