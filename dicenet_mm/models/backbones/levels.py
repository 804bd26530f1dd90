"""What the backbones share: levels that are built, returned and frozen."""
import logging
from collections.abc import Sequence

from mmcv.cnn import build_activation_layer, build_norm_layer
from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from dicenet_mm.layers.units import LayerFactory

from ..norm_eval import NormEval


class LevelBackbone(NormEval, BaseModule):
    """A backbone of named levels, each a child module: ``stem``, ``stage1`` and so on. Subclasses build them.

    Levels after the last one that is asked for are not built.

    Args:
        levels: The names of all levels, in order.
        channels: Output channels of each level.
        out_indices: Levels to return, ascending.
        frozen_stages: -1: none; 0: the stem does not train; i: nor do stages 1 to i.
        norm_eval: Whether normalisation layers keep their running statistics in training.
        with_cp: Whether to recompute each block in the backward pass to save memory. As with every batch
            normalisation under recomputation, the running statistics then take each batch in twice.
        init_cfg: Initialisation, ``dict(type='Pretrained', checkpoint=...)`` for example. By default convolutions
            start from Kaiming normal, fan-out.

    Raises:
        ValueError: If a level or stage is not one of those there are.
    """

    def __init__(self, levels: Sequence[str], channels: Sequence[int], out_indices: Sequence[int], frozen_stages: int,
                 norm_eval: bool, with_cp: bool, init_cfg: dict | None):
        out_indices = tuple(out_indices)
        if not out_indices or out_indices != tuple(sorted(set(out_indices) & set(range(len(levels))))):
            raise ValueError(f'out_indices must be levels from 0 ({levels[0]}) to {len(levels) - 1} ({levels[-1]}), '
                             f'ascending, got {out_indices}')
        stages = sum(name.startswith('stage') for name in levels)
        if not -1 <= frozen_stages <= stages:
            raise ValueError(f'frozen_stages must be from -1 (none) to {stages}, got {frozen_stages}')
        super().__init__(init_cfg or dict(type='Kaiming', layer='Conv2d', mode='fan_out', nonlinearity='relu'))
        self.out_indices = out_indices
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.with_cp = with_cp
        self.levels = tuple(levels[:out_indices[-1] + 1])
        #: Channels of each output, in the order of ``out_indices``.
        self.out_channels = tuple(channels[i] for i in out_indices)

    def run_block(self, block: nn.Module, *inputs: Tensor) -> Tensor:
        """``block(*inputs)``, recomputed in the backward pass with ``with_cp``."""
        if self.with_cp and self.training:
            return checkpoint(block, *inputs, use_reentrant=False)
        return block(*inputs)

    def train(self, mode: bool = True) -> 'LevelBackbone':
        super().train(mode)
        frozen = [] if self.frozen_stages < 0 else ['stem', *(f'stage{i + 1}' for i in range(self.frozen_stages))]
        for name in frozen:
            if name in self.levels:
                getattr(self, name).eval().requires_grad_(False)
        return self

    def _load_from_state_dict(self, state_dict, prefix, *args, **kwargs):
        """Says which levels a checkpoint of a smaller encoder leaves as they are."""
        names = [name for name in self.levels if next(getattr(self, name).parameters(), None) is not None]
        absent = [name for name in names if not any(key.startswith(f'{prefix}{name}.') for key in state_dict)]
        if absent and absent != names:
            print_log(f'{type(self).__name__}: the checkpoint has no {", ".join(absent)}, which keeps its random '
                      'initialisation.', logger='current', level=logging.WARNING)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def layer_factories(norm_cfg: dict | None, act_cfg: dict | None) -> dict[str, LayerFactory]:
    """``norm_layer`` and ``act_layer`` for the layers, from configurations as mmcv builds them.

    Args:
        norm_cfg: ``dict(type='BN')`` by default.
        act_cfg: ``dict(type='PReLU')`` by default, with a slope for each channel.
    """
    norm_cfg, act_cfg = norm_cfg or dict(type='BN'), act_cfg or dict(type='PReLU')

    def norm_layer(channels: int) -> nn.Module:
        return build_norm_layer(norm_cfg, channels)[1]

    def act_layer(channels: int) -> nn.Module:
        per_channel = dict(num_parameters=channels) if act_cfg['type'] == 'PReLU' else {}
        return build_activation_layer({**per_channel, **act_cfg})

    return dict(norm_layer=norm_layer, act_layer=act_layer)
