"""The backbone DiCENet (Section 4, Figure 4).

Mehta, Hajishirzi, Rastegari: "DiCENet: Dimension-wise Convolutions for Efficient Networks".
"""
import logging
from collections.abc import Sequence

from mmengine.logging import print_log
from mmengine.registry import MODELS
from mmengine.utils import to_2tuple
from torch import Tensor, nn

from dicenet_mm.layers import DiCEBlock, DimConv, StridedDiCEBlock, conv_norm_act
from dicenet_mm.ops import resize_axis

from .levels import LevelBackbone, layer_factories

#: Channels of the stem and of stages 1, 2 and 3, by the paper's width multiplier s. The max pool keeps the stem's.
WIDTHS = {
    0.1: (8, 16, 32, 64),
    0.2: (16, 32, 64, 128),
    0.5: (24, 48, 96, 192),
    0.75: (24, 86, 172, 344),
    1.0: (24, 116, 232, 464),
    1.25: (24, 144, 288, 576),
    1.5: (24, 176, 352, 704),
    1.75: (24, 210, 420, 840),
    2.0: (24, 244, 488, 976),
    2.4: (24, 278, 556, 1112),
}
#: Blocks of stages 1, 2 and 3: a strided one, then 3, 7 and 3 of stride 1.
DEPTHS = (4, 8, 4)
LEVELS = ('stem', 'pool', 'stage1', 'stage2', 'stage3')


@MODELS.register_module()
class DiCENet(LevelBackbone):
    """DiCENet as a feature extractor: ShuffleNetV2's layout with DiCE units.

    ===== ======== ====== ===========================
    level name     stride what
    ===== ======== ====== ===========================
    0     stem     2      3x3 convolution
    1     pool     4      3x3 max pool
    2     stage1   8      4 blocks
    3     stage2   16     8 blocks
    4     stage3   32     4 blocks
    ===== ======== ====== ===========================

    Levels after the last one that is asked for are not built.

    Args:
        widen_factor: The paper's width multiplier s: one of 0.1, 0.2, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.4.
        input_size: Image size that the height and width kernels are built for, px: a side or (height, width). Images of
            any size can be used with it; a checkpoint built for another size has its kernels resampled on loading.
        in_channels: Channels of the image.
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
        ValueError: If a width, level or stage is not one of those above.

    Example:
        >>> import torch
        >>> [tuple(x.shape) for x in DiCENet(widen_factor=1.0).eval()(torch.rand(1, 3, 300, 300))]
        [(1, 116, 38, 38), (1, 232, 19, 19), (1, 464, 10, 10)]
    """

    def __init__(self,
                 widen_factor: float = 1.0,
                 input_size: int | tuple[int, int] = 224,
                 in_channels: int = 3,
                 out_indices: Sequence[int] = (2, 3, 4),
                 frozen_stages: int = -1,
                 norm_eval: bool = False,
                 norm_cfg: dict | None = None,
                 act_cfg: dict | None = None,
                 with_cp: bool = False,
                 init_cfg: dict | None = None):
        if widen_factor not in WIDTHS:
            raise ValueError(f'widen_factor must be one of {", ".join(map(str, WIDTHS))}, got {widen_factor}')
        stem_channels, *stage_channels = WIDTHS[widen_factor]
        super().__init__(LEVELS, (stem_channels, stem_channels, *stage_channels), out_indices, frozen_stages, norm_eval,
                         with_cp, init_cfg)
        layers = layer_factories(norm_cfg, act_cfg)
        self.stem = conv_norm_act(in_channels, stem_channels, 3, stride=2, **layers)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        sizes = to_2tuple(input_size)
        for _ in range(2):
            sizes = halved(sizes)
        width = stem_channels
        for name, channels, depth in zip(self.levels[2:], stage_channels, DEPTHS):
            sizes = halved(sizes)
            blocks = [StridedDiCEBlock(width, sizes, **layers)]
            width *= 2
            for _ in range(depth - 1):
                blocks.append(DiCEBlock(width, channels, sizes, **layers))
                width = channels
            self.add_module(name, nn.Sequential(*blocks))
        self.train()  # freezes what is to be frozen before an optimizer collects the parameters

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, in_channels, H, W) -> a map (N, C, ceil(H / stride), ceil(W / stride)) for each of ``out_indices``."""
        outs = []
        for index, name in enumerate(self.levels):
            level = getattr(self, name)
            if name.startswith('stage') and self.training:
                for block in level:
                    x = self.run_block(block, x)
            else:  # of an inference copy, a stage may be one layer
                x = level(x)
            if index in self.out_indices:
                outs.append(x)
        return tuple(outs)

    def _load_from_state_dict(self, state_dict, prefix, *args, **kwargs):
        resampled = []
        for name, module in self.named_modules(prefix=prefix.rstrip('.')):
            if not isinstance(module, DimConv):
                continue
            for key in ('height_weight', 'width_weight'):
                weight, size = state_dict.get(f'{name}.{key}'), getattr(module, key).shape[0]
                if weight is not None and weight.dim() == 3 and weight.shape[0] != size:
                    state_dict[f'{name}.{key}'] = _resample_kernels(weight, size)
                    resampled.append(f'{weight.shape[0]} -> {size}')
        if resampled:
            print_log(f'DiCENet: the checkpoint was built for another input_size; {len(resampled)} sets of height and '
                      f'width kernels were resampled ({", ".join(dict.fromkeys(resampled))}).',
                      logger='current', level=logging.WARNING)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def halved(sizes: tuple[int, int]) -> tuple[int, int]:
    """The size of a map after a 3x3 layer of stride 2 and padding 1."""
    return (sizes[0] + 1) // 2, (sizes[1] + 1) // 2


def _resample_kernels(weight: Tensor, size: int) -> Tensor:
    """(A, 3, 3) -> (size, 3, 3): kernels of neighbouring rows or columns resized like a map would be."""
    taps = weight.flatten(1).t()[None, ..., None]  # (1, 9, A, 1)
    return resize_axis(taps, 2, size)[0, ..., 0].t().unflatten(1, weight.shape[1:]).contiguous()
