"""Any models as contenders of ``tools/benchmark.py models``: configurations of every task, torchvision's and timm's."""
import ctypes
from collections.abc import Callable
from pathlib import Path

import torch
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn

from dicenet_mm.analysis import image_shape
from dicenet_mm.apis import load_config
from dicenet_mm.errors import UserError


class Raw(nn.Module):
    """A configured model from images to raw outputs: (N, 3, H, W) -> maps or scores, one after the other."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(flat(self.model(x, None, mode='tensor')))


def flat(outputs):
    """The tensors in nested lists, tuples and dicts."""
    if isinstance(outputs, Tensor):
        yield outputs
    elif isinstance(outputs, (dict, list, tuple)):
        for part in outputs.values() if isinstance(outputs, dict) else outputs:
            yield from flat(part)


def model_by_name(name: str, side: int | None = None) -> tuple[nn.Module, tuple[int, int]]:
    """A model with random weights, and the (height, width) in px of its images.

    Args:
        name: A configuration by its file or name, ``torchvision/NAME`` or ``timm/NAME``.
        side: Of square images, px. By default the size of the configuration's test pipeline; 224 px for others.

    Raises:
        UserError: If there is no such model.
    """
    library, _, rest = name.partition('/')
    shape = (side, side) if side else (224, 224)
    try:
        if library == 'torchvision':
            import torchvision
            return torchvision.models.get_model(rest, weights=None), shape
        if library == 'timm':
            import timm
            return timm.create_model(rest), shape
    except (ValueError, RuntimeError) as error:
        raise UserError(f'{library} has no model {rest}: {error}') from None
    except ModuleNotFoundError as error:
        raise UserError(f'{name} needs the package {error.name}: pip install {error.name}') from None
    cfg = load_config(name)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmengine'):
        return Raw(MODELS.build(cfg.model)), (side, side) if side else image_shape(cfg)


def peak_of(function: Callable) -> int | None:
    """Bytes of memory that a first call takes for the time of it, without what was there before; None where the system
    does not tell."""
    reset = Path('/proc/self/clear_refs')
    if not reset.exists():
        return None
    ctypes.CDLL(None).malloc_trim(0)
    reset.write_text('5')
    before = status('VmRSS')
    with torch.no_grad():
        function()
    return max(status('VmHWM') - before, 0)


def status(key: str) -> int:
    line = next(line for line in Path('/proc/self/status').read_text().splitlines() if line.startswith(key))
    return 1024 * int(line.split()[1])
