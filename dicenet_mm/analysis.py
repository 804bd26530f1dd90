"""Complexity of a configured model, counted as the paper counts."""

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.utils import to_2tuple
from torch.utils.flop_counter import FlopCounterMode

from dicenet_mm.errors import UserError


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
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    with torch.device('meta'), torch.no_grad():  # shapes alone: nothing is computed
        model = MODELS.build(cfg.model).eval()
        with FlopCounterMode(display=False) as counter:
            model(torch.empty(1, 3, *shape), None, mode='tensor')
    flops = {name: sum(counts.values()) for name, counts in counter.get_flop_counts().items()}
    parts = {name: dict(macs=_below(flops, f'{type(model).__name__}.{name}') // 2, parameters=_parameters(child))
             for name, child in model.named_children() if _parameters(child)}
    return {**parts, 'total': dict(macs=counter.get_total_flops() // 2, parameters=_parameters(model))}


def _below(flops: dict[str, int], part: str) -> int:
    """Operations of a part: its own entry, or the topmost below it where its forward() was called directly."""
    inside = [name for name in flops if f'{name}.'.startswith(f'{part}.')]
    topmost = [name for name in inside if not any(name.startswith(f'{other}.') for other in inside)]
    return sum(flops[name] for name in topmost)


def _parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
