"""Complexity of a model, counted as the paper counts."""
from collections.abc import Callable

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.utils import to_2tuple
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from dicenet_mm.errors import UserError
from dicenet_mm.layers import DimConv, DimFuse

#: Kinds of layers that multiply and add; 1x1 convolutions are point-wise in any number of groups.
KINDS = ('standard', 'depth-wise', 'point-wise', 'DimConv', 'DimFuse', 'fully connected')


def image_shape(cfg: Config) -> tuple[int, int]:
    """(height, width) in px that the test pipeline makes of an image.

    Raises:
        UserError: If it does not resize to a fixed size.
    """
    for step in cfg.test_dataloader.dataset.pipeline:
        if step['type'].endswith('CenterCrop'):
            return to_2tuple(step['crop_size'])[::-1]  # given as width, height
        if step['type'].endswith('Resize') and not step.get('keep_ratio', True):
            width, height = step['scale']
            return height, width
    raise UserError('the test pipeline resizes to no fixed size: give --shape H W')


def complexity(cfg: Config, shape: tuple[int, int]) -> dict[str, dict[str, int]]:
    """Multiply-adds and parameters of a model and its parts, for one image.

    Args:
        cfg: Configuration of any task.
        shape: (height, width) of the image, px.

    Returns:
        ``{part: {'macs': count, 'parameters': count}}`` for each direct child of the model and ``'total'``.
    """
    model, counter = count_config(cfg, shape)
    flops = {name: sum(counts.values()) for name, counts in counter.get_flop_counts().items()}
    parts = {name: dict(macs=_below(flops, f'{type(model).__name__}.{name}') // 2, parameters=_parameters(child))
             for name, child in model.named_children() if _parameters(child)}
    return {**parts, 'total': total(model, counter)}


def layers(cfg: Config, shape: tuple[int, int]) -> dict[str, dict]:
    """Multiply-adds and parameters of each layer that multiplies, in the order of the model, for one image.

    Args:
        cfg: Configuration of any task.
        shape: (height, width) of the image, px.

    Returns:
        ``{layer: {'macs': count, 'parameters': count, 'kind': one of KINDS or the class}}`` and ``'total'``, whose
        parameters are those of the whole model, with normalisation and activation.
    """
    model, counter = count_config(cfg, shape)
    flops = {name: sum(counts.values()) for name, counts in counter.get_flop_counts().items()}
    found, root = {}, type(model).__name__
    for name, module in model.named_modules():
        own, within = flops.get(f'{root}.{name}', 0), f'{root}.{name}.'
        if name and own and not any(flops[other] for other in flops if other.startswith(within)):
            found[name] = dict(macs=own // 2, parameters=_parameters(module),
                               kind=_kind(module) or type(module).__name__)
    return {**found, 'total': total(model, counter)}


def count_config(cfg: Config, shape: tuple[int, int]) -> tuple[nn.Module, FlopCounterMode]:
    """:func:`count` of a configured model."""
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        return count(lambda: MODELS.build(cfg.model), shape, lambda model, image: model(image, None, mode='tensor'))


def count(build: Callable[[], nn.Module], shape: tuple[int, int],
          forward: Callable[[nn.Module, Tensor], object] = lambda model, image: model(image),
          ) -> tuple[nn.Module, FlopCounterMode]:
    """A model and what one image takes in it, where shapes alone are computed.

    Args:
        build: Makes the model.
        shape: (height, width) of the image, px.
        forward: Runs the model on an image (1, 3, height, width).
    """
    model = shapes_alone(build).eval()
    with torch.device('meta'), torch.no_grad(), FlopCounterMode(display=False) as counter:
        forward(model, torch.empty(1, 3, *shape))
    return model, counter


def shapes_alone(build: Callable[[], nn.Module]) -> nn.Module:
    """A model without memory, on the meta device."""
    try:
        with torch.device('meta'):
            return build().to('meta')  # some layers of others are made on the CPU whatever the device
    except RuntimeError:  # and some models ask for numbers while they are made
        return build().to('meta')


def total(model: nn.Module, counter: FlopCounterMode) -> dict[str, int]:
    """``{'macs': count, 'parameters': count}`` of a counted model."""
    return dict(macs=counter.get_total_flops() // 2, parameters=_parameters(model))


def macs_by_kind(model: nn.Module, counter: FlopCounterMode) -> dict[str, int]:
    """Multiply-adds of a counted model by the kind of the convolution (Figure 2).

    Returns:
        Counts in the order of :data:`KINDS`; whatever a :class:`DimFuse` holds is its own.
    """
    flops = counter.get_flop_counts()
    counts = dict.fromkeys(KINDS, 0)
    fusions = tuple(f'{name}.' for name, module in model.named_modules() if isinstance(module, DimFuse))
    for name, module in model.named_modules():
        kind = 'DimFuse' if name.startswith(fusions) else _kind(module)
        if kind and not next(module.children(), None):
            counts[kind] += sum(flops.get(f'{type(model).__name__}.{name}', {}).values()) // 2
    return counts


def _kind(module: nn.Module) -> str | None:
    if isinstance(module, DimConv):
        return 'DimConv'
    if isinstance(module, nn.Linear):
        return 'fully connected'
    if not isinstance(module, nn.Conv2d):
        return None
    if module.kernel_size == (1, 1):
        return 'point-wise'
    return 'depth-wise' if 1 < module.groups == module.in_channels else 'standard'


def _below(flops: dict[str, int], part: str) -> int:
    """Operations of a part: its own entry, or the topmost below it where its forward() was called directly."""
    inside = [name for name in flops if f'{name}.'.startswith(f'{part}.')]
    topmost = [name for name in inside if not any(name.startswith(f'{other}.') for other in inside)]
    return sum(flops[name] for name in topmost)


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
