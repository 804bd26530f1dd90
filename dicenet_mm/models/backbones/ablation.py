"""The three architectures in which the paper compares units (Figure 4, Tables I to III)."""
from collections.abc import Callable
from functools import partial

from mmengine.model import BaseModule
from mmengine.registry import MODELS
from mmengine.utils import to_2tuple
from torch import Tensor, nn

from dicenet_mm.layers import BottleneckBlock, conv_norm_act, make_shuffle_block, make_unit

from .dicenet import DEPTHS, halved

STEM_CHANNELS = 24
LAST_CHANNELS = 1024


class AblationNet(BaseModule):
    """ShuffleNetV2's frame, the same for every architecture, so that networks differ in their blocks alone.

    A 3x3 convolution of stride 2 and a max pool; three stages, each of one block of stride 2 and 3, 7 and 3 of stride
    1, where each stage has twice the channels of the one before; a 1x1 convolution to 1024 channels.

    Args:
        make_block: Makes a block from its input's channels, its output's channels, the size of its output (H, W) in px
            and its stride.
        width: Channels of the first stage.
        input_size: Image size that DimConv's height and width kernels are built for, px: a side or (height, width).
            Images of any size can be used with it.
        init_cfg: Initialisation. By default convolutions start from Kaiming normal, fan-out.

    Raises:
        ValueError: If ``width`` is odd or less than 16.
    """

    def __init__(self, make_block: Callable[..., nn.Module], width: int, input_size: int | tuple[int, int],
                 init_cfg: dict | None):
        if width < 16 or width % 2:
            raise ValueError('width must be even, for shuffle blocks halve it, and at least 16, for a quarter of it is '
                             f'the width of a bottleneck; got {width}')
        super().__init__(init_cfg or dict(type='Kaiming', layer='Conv2d', mode='fan_out', nonlinearity='relu'))
        self.stem = conv_norm_act(3, STEM_CHANNELS, 3, stride=2)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        sizes = halved(halved(to_2tuple(input_size)))
        in_channels = STEM_CHANNELS
        for stage, depth in enumerate(DEPTHS):
            sizes = halved(sizes)
            channels = width * 2**stage
            self.add_module(f'stage{stage + 1}', nn.Sequential(
                make_block(in_channels, channels, sizes, 2),
                *(make_block(channels, channels, sizes, 1) for _ in range(depth - 1))))
            in_channels = channels
        self.last = conv_norm_act(in_channels, LAST_CHANNELS, 1)
        #: Channels of the output.
        self.out_channels = (LAST_CHANNELS,)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """(N, 3, H, W) -> one map (N, 1024, ceil(H / 32), ceil(W / 32))."""
        for level in self.children():
            x = level(x)
        return (x,)


@MODELS.register_module()
class AblationMobileNet(AblationNet):
    """Units stacked one upon the other, as in MobileNet.

    Args:
        unit: One of :data:`dicenet_mm.layers.UNITS`.
        width: Channels of the first stage, even, at least 16.
        input_size: Image size that the units are built for, px.
        init_cfg: Initialisation.
    """

    def __init__(self, unit: str, width: int, input_size: int | tuple[int, int] = 224, init_cfg: dict | None = None):
        super().__init__(partial(make_unit, unit), width, input_size, init_cfg)


@MODELS.register_module()
class AblationResNet(AblationNet):
    """Bottlenecks, as in ResNet: first layer, unit, 1x1 convolution, residual.

    Args:
        unit: One of :data:`dicenet_mm.layers.UNITS`.
        width: Channels of the first stage, even, at least 16.
        first: One of :data:`dicenet_mm.layers.FIRST_LAYERS`, the layer before the unit.
        expansion: The unit's width in quarters of the block's channels: Table III has 1 and 4.
        input_size: Image size that the units are built for, px.
        init_cfg: Initialisation.
    """

    def __init__(self, unit: str, width: int, first: str = 'pointwise', expansion: int = 1,
                 input_size: int | tuple[int, int] = 224, init_cfg: dict | None = None):
        make_block = partial(BottleneckBlock, unit=unit, first=first, expansion=expansion)
        super().__init__(make_block, width, input_size, init_cfg)


@MODELS.register_module()
class AblationShuffleNetV2(AblationNet):
    """ShuffleNetV2's blocks with units for separable convolutions: with ``'dwise+pointwise'`` it is ShuffleNetV2.

    Args:
        unit: One of :data:`dicenet_mm.layers.UNITS`.
        width: Channels of the first stage, even, at least 16.
        first: One of :data:`dicenet_mm.layers.FIRST_LAYERS`, the layer before the unit.
        expansion: The unit's width in halves of the block's channels: Table III has 1 and 4.
        input_size: Image size that the units are built for, px.
        init_cfg: Initialisation.
    """

    def __init__(self, unit: str, width: int, first: str = 'pointwise', expansion: int = 1,
                 input_size: int | tuple[int, int] = 224, init_cfg: dict | None = None):
        make_block = partial(make_shuffle_block, unit=unit, first=first, expansion=expansion)
        super().__init__(make_block, width, input_size, init_cfg)
