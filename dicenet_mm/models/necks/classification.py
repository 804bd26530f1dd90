"""What stands between a backbone and the last linear layer of a classifier."""
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from ..backbones.dicenet import WIDTHS


@MODELS.register_module()
class PooledNeck(BaseModule):
    """Global pooling and dropout.

    Args:
        in_channels: Channels of the backbone's last map.
        dropout: Share of the features that is dropped in training.
    """

    def __init__(self, in_channels: int, dropout: float):
        super().__init__()
        self.out_channels = in_channels
        self.layers = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout))

    def forward(self, feats: tuple[Tensor, ...]) -> tuple[Tensor]:
        """Maps of which the last one, (N, in_channels, H, W), is taken -> one (N, out_channels)."""
        return self.layers(feats[-1]),


@MODELS.register_module()
class DiCENetNeck(BaseModule):
    """Global pooling, a grouped fully connected layer to the network's last width, dropout (Section 4, Figure 4).

    The grouped layer is a 1x1 convolution of the pooled map, without bias, normalisation or activation. The last width
    is 512 for s = 0.1, 1280 for s = 2.4 and 1024 between them; the dropout is 0.1 up to s = 1.0 and 0.2 above.

    Args:
        in_channels: Channels of the backbone's last map, which tell its width s; a multiple of ``groups``.
        groups: Groups of the fully connected layer.
        init_cfg: Initialisation; by default the convolution starts from Kaiming normal, fan-out.
    """

    def __init__(self, in_channels: int, groups: int = 4, init_cfg: dict | None = None):
        super().__init__(init_cfg or dict(type='Kaiming', layer='Conv2d', mode='fan_out', nonlinearity='relu'))
        smallest, usual, largest = (WIDTHS[width][3] for width in (0.1, 1.0, 2.4))
        self.out_channels = 512 if in_channels <= smallest else 1024 if in_channels < largest else 1280
        self.layers = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(in_channels, self.out_channels, 1, groups=groups, bias=False),
            nn.Flatten(),
            nn.Dropout(0.1 if in_channels <= usual else 0.2))

    def forward(self, feats: tuple[Tensor, ...]) -> tuple[Tensor]:
        """Maps of which the last one, (N, in_channels, H, W), is taken -> one (N, out_channels)."""
        return self.layers(feats[-1]),
