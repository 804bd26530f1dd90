"""The backbone ESPNetv2, the paper's closest rival (Section 5).

Mehta, Rastegari, Shapiro, Hajishirzi: "ESPNetv2: A Light-weight, Power Efficient, and General Purpose Convolutional
Neural Network".
"""
from collections.abc import Sequence

from mmengine.registry import MODELS
from torch import Tensor, nn

from dicenet_mm.layers import EESPBlock, StridedEESPBlock, conv_norm_act

from .levels import LevelBackbone, layer_factories

#: Channels of the stem, of stages 1 to 4, and of the layers before the classifier, by the width multiplier.
WIDTHS = {
    0.5: (16, 32, 64, 128, 256, 1024),
    1.0: (32, 64, 128, 256, 512, 1024),
    1.25: (32, 80, 160, 320, 640, 1024),
    1.5: (32, 96, 192, 384, 768, 1024),
    2.0: (32, 128, 256, 512, 1024, 1280),
}
#: Blocks of stride 1 in stages 1 to 4, after the strided one.
DEPTHS = (0, 3, 7, 3)
#: Dilations of the four branches by the limit on their receptive field, px.
DILATIONS = {13: (1, 2, 3, 4), 11: (1, 2, 3, 4), 9: (1, 2, 3, 4), 7: (1, 1, 2, 3), 5: (1, 1, 1, 2)}
#: That limit in stages 1 to 4: of the strided block, and of the others.
LIMITS = ((13, None), (11, 9), (9, 7), (7, 5))
GROUPS = 4
LEVELS = ('stem', 'stage1', 'stage2', 'stage3', 'stage4', 'last')


@MODELS.register_module()
class ESPNetv2(LevelBackbone):
    """ESPNetv2 as a feature extractor.

    ===== ======== ====== =======================================================================
    level name     stride what
    ===== ======== ====== =======================================================================
    0     stem     2      3x3 convolution
    1     stage1   4      strided EESP block
    2     stage2   8      4 blocks
    3     stage3   16     8 blocks
    4     stage4   32     4 blocks
    5     last     32     3x3 depth-wise and 1x1 grouped convolution, before the classifier
    ===== ======== ====== =======================================================================

    A classifier takes level 5, pools it globally, and ends with dropout (0.2) and a linear layer. Levels after the last
    one that is asked for are not built.

    Args:
        widen_factor: The width multiplier s: one of 0.5, 1.0, 1.25, 1.5, 2.0.
        in_channels: Channels of the image.
        shortcuts: Stages, from the first, whose strided block adds a shortcut from the image: 3, or 4 as in the
            authors' detectors.
        out_indices: Levels to return, ascending (see the table above).
        frozen_stages: -1: none; 0: the stem does not train; i: nor do stages 1 to i.
        norm_eval: Whether normalisation layers keep their running statistics in training.
        norm_cfg: Normalisation, as mmcv builds it; ``dict(type='BN')`` by default.
        act_cfg: Activation, as mmcv builds it; ``dict(type='PReLU')`` by default, with a slope for each channel.
        with_cp: Whether to recompute each block in the backward pass to save memory. As with every batch
            normalisation under recomputation, the running statistics then take each batch in twice.
        init_cfg: Initialisation, ``dict(type='Pretrained', checkpoint=...)`` for example. By default convolutions
            start from Kaiming normal, fan-out.

    Raises:
        ValueError: If a width, a number of shortcuts, a level or a stage is not one of those above.

    Example:
        >>> import torch
        >>> [tuple(x.shape) for x in ESPNetv2(widen_factor=0.5).eval()(torch.rand(1, 3, 100, 130))]
        [(1, 64, 13, 17), (1, 128, 7, 9), (1, 256, 4, 5)]
    """

    def __init__(self,
                 widen_factor: float = 1.0,
                 in_channels: int = 3,
                 shortcuts: int = 3,
                 out_indices: Sequence[int] = (2, 3, 4),
                 frozen_stages: int = -1,
                 norm_eval: bool = False,
                 norm_cfg: dict | None = None,
                 act_cfg: dict | None = None,
                 with_cp: bool = False,
                 init_cfg: dict | None = None):
        if widen_factor not in WIDTHS:
            raise ValueError(f'widen_factor must be one of {", ".join(map(str, WIDTHS))}, got {widen_factor}')
        if shortcuts not in range(len(DEPTHS) + 1):
            raise ValueError(f'shortcuts must be from 0 to {len(DEPTHS)}, got {shortcuts}')
        widths = WIDTHS[widen_factor]
        super().__init__(LEVELS, widths, out_indices, frozen_stages, norm_eval, with_cp, init_cfg)
        layers = layer_factories(norm_cfg, act_cfg)
        width, *stage_widths, last = widths
        self.stem = conv_norm_act(in_channels, width, 3, stride=2, **layers)
        self.pool = nn.AvgPool2d(3, stride=2, padding=1)  # of the image, for the shortcuts
        stages = zip(LEVELS[1:5], stage_widths, DEPTHS, LIMITS)
        for index, (name, channels, depth, (strided, limit)) in enumerate(stages):
            if name not in self.levels:
                continue
            image_channels = in_channels if index < shortcuts else 0
            self.add_module(name, nn.Sequential(
                StridedEESPBlock(width, channels, DILATIONS[strided], image_channels, **layers),
                *(EESPBlock(channels, DILATIONS[limit], **layers) for _ in range(depth))))
            width = channels
        if 'last' in self.levels:
            self.last = nn.Sequential(
                conv_norm_act(width, width, 3, groups=width, **layers),
                conv_norm_act(width, last, 1, groups=GROUPS, **layers))
        self.train()  # freezes what is to be frozen before an optimizer collects the parameters

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, in_channels, H, W) -> a map (N, C, ceil(H / stride), ceil(W / stride)) for each of ``out_indices``."""
        outs, image = [], self.pool(x)
        for index, name in enumerate(self.levels):
            level = getattr(self, name)
            if name.startswith('stage'):
                image = self.pool(image)  # halves like the strided convolutions, so the sizes agree at any image size
                strided, *blocks = level
                x = self.run_block(strided, x, image)
                for block in blocks:
                    x = self.run_block(block, x)
            else:
                x = level(x)
            if index in self.out_indices:
                outs.append(x)
        return tuple(outs)
