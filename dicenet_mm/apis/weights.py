"""Weights from checkpoints, loaded whole or refused."""

from mmengine.config import Config
from torch import nn

from dicenet_mm.checkpoint import read_checkpoint
from dicenet_mm.errors import UserError


def read_pretrained(cfg: Config) -> dict | None:
    """What the backbone is to start from, under the names of the whole model.

    Raises:
        UserError: If the file is missing or unreadable, or has no weight under the prefix that the configuration gives.
    """
    init = cfg.model.get('backbone', {}).get('init_cfg') or {}
    if not isinstance(init, dict) or init.get('type') != 'Pretrained':
        return None
    checkpoint, prefix = read_checkpoint(init['checkpoint']), init.get('prefix') or ''
    weights = checkpoint.get('state_dict', checkpoint)
    backbone = {f'backbone.{name[len(prefix):].lstrip(".")}': value for name, value in weights.items()
                if name.startswith(prefix)}
    if not backbone:
        raise UserError(f'{init["checkpoint"]} has no weight whose name starts with {prefix}: its names are like '
                        f'{next(iter(weights), "none")}. Set model.backbone.init_cfg.prefix to fit')
    return backbone


def require_converted(checkpoint: dict, path: str) -> None:
    """Refuse a file of the paper's authors as they published it.

    Raises:
        UserError: If its weights have the authors' names; the message names the command that converts it.
    """
    weights = checkpoint.get('state_dict', checkpoint)
    if any(str(name).removeprefix('module.').startswith(('base_net.', 'level1.', 'level2_0.')) for name in weights):
        raise UserError(f"{path} is a file of the paper's authors (EdgeNets): convert it first, python "
                        f'tools/convert_edgenets.py {path} converted.pth')


def require_fit(model: nn.Module, checkpoint: dict, path: str) -> None:
    """Refuse a start for another training that has nothing to give, or a backbone of another shape.

    A head of another class count is what such a start is for: mmengine names what it leaves out.

    Raises:
        UserError: If no weight fits, or one of the backbone has another shape, naming it.
    """
    require_converted(checkpoint, path)
    weights, own = checkpoint.get('state_dict', checkpoint), model.state_dict()
    shared = [name for name in weights if name in own]
    if not shared:
        raise UserError(f'{path} has no weight that this model knows: its names are like '
                        f'{next(iter(weights), "none")}, those of the model like {next(iter(own))}')
    for name in shared:
        # kernels of another input_size are resampled by the backbone
        if (name.startswith('backbone.') and weights[name].shape != own[name].shape
                and not name.endswith(('height_weight', 'width_weight'))):
            raise UserError(f'{path} is of another backbone: {name} is {tuple(weights[name].shape)} there and '
                            f'{tuple(own[name].shape)} here. Give the same widen_factor, other weights with --from, '
                            'or --from scratch')


def load_weights(model: nn.Module, checkpoint: dict, path: str) -> None:
    """Load every weight of a model.

    Args:
        model: What to load into.
        checkpoint: As :func:`read_checkpoint` gives it.
        path: Where it came from, for the message.

    Raises:
        UserError: If a weight is missing, left over, or of another shape, naming the first of them.
    """
    require_converted(checkpoint, path)
    try:
        model.load_state_dict(checkpoint.get('state_dict', checkpoint))
    except RuntimeError as error:
        reasons = [line.strip() for line in str(error).splitlines()[1:]]
        shown = '\n  '.join(line if len(line) < 300 else f'{line[:300]} ...' for line in reasons[:5])
        more = f'\n  and {len(reasons) - 5} more' if len(reasons) > 5 else ''
        raise UserError(f'{path} does not fit this model: is it of another width, class count or task? Use the '
                        f'configuration and options that it was trained with.\n  {shown}{more}') from error
