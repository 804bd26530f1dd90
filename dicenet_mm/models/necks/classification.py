"""What stands between a backbone and the last linear layer of a classifier."""
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

KAIMING = dict(type='Kaiming', layer='Conv2d', mode='fan_out', nonlinearity='relu')


@MODELS.register_module()
class DiCENetNeck(BaseModule):
    """Global pooling, a grouped fully connected layer to the network's last width, dropout (Section 4, Figure 4).

    The grouped layer is a 1x1 convolution of the pooled map, without bias, normalisation or activation.

    Args:
        in_channels: Channels of the backbone's last map, a multiple of ``groups``.
        widen_factor: Width multiplier s of the backbone, which settles the last width and the dropout.
        groups: Groups of the fully connected layer.
        init_cfg: Initialisation; by default the convolution starts from Kaiming normal, fan-out.

    Attributes:
        out_channels: 512 for s = 0.1, 1280 for s = 2.4 and 1024 between them.
    """

    def __init__(self, in_channels: int, widen_factor: float, groups: int = 4, init_cfg: dict | None = None):
        super().__init__(init_cfg or KAIMING)
        self.out_channels = {0.1: 512, 2.4: 1280}.get(widen_factor, 1024)
        self.layers = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(in_channels, self.out_channels, 1, groups=groups, bias=False),
            nn.Flatten(),
            nn.Dropout(0.1 if widen_factor <= 1 else 0.2))

    def forward(self, feats: tuple[Tensor, ...]) -> tuple[Tensor]:
        """Maps of which the last one, (N, in_channels, H, W), is taken -> one (N, out_channels)."""
        return self.layers(feats[-1]),
