"""What a checkpoint says of a training, fitted to the one that goes on from it.

Optimizers and schedules take over whatever they are given: kernels of torch read moments of another size beyond their
memory, and attributes of a schedule become anything. So only numbers and tensors of the kind that the training has
itself are handed to them.
"""
import copy
import math
from collections.abc import Sequence

import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch.optim import Optimizer

from dicenet_mm.errors import UserError, printable


def fit_training_state(checkpoint: dict, wrapper: OptimWrapper | OptimWrapperDict, schedules: Sequence | dict | None,
                       source: object) -> None:
    """Replace ``optimizer`` and ``param_schedulers`` of a checkpoint by what of them can be resumed from.

    Rates, other numbers and states come from the checkpoint; switches (``nesterov``, ``fused``), and what is unknown,
    from the training.

    Args:
        checkpoint: As :func:`dicenet_mm.checkpoint.read_checkpoint` gives it; changed in place.
        wrapper: The training's own, as it is built.
        schedules: The training's own.
        source: Where the checkpoint came from, for the message.

    Raises:
        UserError: If there is no training in it, or one with another optimizer or other schedules.
    """
    meta, hub = checkpoint.get('meta', {}), checkpoint.get('message_hub', {})
    missing = [f'meta.{key}' for key in ('epoch', 'iter') if key not in meta] + [
        f'message_hub.{key}' for key in ('log_scalars', 'runtime_info', 'resumed_keys')
        if not isinstance(hub.get(key), dict)]
    if missing:
        raise UserError(f'{source} has weights and no training to go on with (there is no {missing[0]}): start one '
                        f'from its weights, with --cfg-options load_from={source} and without --resume')
    try:
        if 'optimizer' in checkpoint:
            checkpoint['optimizer'] = _wrapper_state(checkpoint['optimizer'], wrapper)
        if 'param_schedulers' in checkpoint and schedules is not None:
            checkpoint['param_schedulers'] = _schedules(checkpoint['param_schedulers'], schedules)
        gradients = checkpoint.get('gradients') or {}
        if not isinstance(gradients, dict) or not all(
                isinstance(parts, (list, tuple)) and all(isinstance(part, torch.Tensor) for part in parts)
                for parts in gradients.values()):
            raise _OtherError('its gradients are no tensors')
    except _OtherError as error:
        raise UserError(f'{source} is not of this training: {printable(error, 200)}. Resume with the configuration it '
                        f'was made with, or start from its weights, with --cfg-options load_from={source} and without '
                        '--resume') from None


class _OtherError(Exception):
    """The state of something else."""


def _wrapper_state(saved: object, wrapper: OptimWrapper | OptimWrapperDict) -> dict:
    if not isinstance(saved, dict):
        raise _OtherError(f'its optimizer is a {type(saved).__name__}')
    if isinstance(wrapper, OptimWrapperDict):
        return {name: _wrapper_state(saved.get(name), part) for name, part in wrapper.items()}
    state = _optimizer_state(saved, wrapper.optimizer)
    # What is the wrapper's own, such as the scale of a loss.
    others = {key: value for key, value in wrapper.state_dict().items() if key not in state and key in saved}
    return {**state, **_merged(saved, others, 'optimizer')}


def _optimizer_state(saved: dict, optimizer: Optimizer) -> dict:
    own, groups = optimizer.state_dict()['param_groups'], saved.get('param_groups')
    if not isinstance(groups, list) or [isinstance(group, dict) and group.get('params') for group in groups] != [
            group['params'] for group in own]:
        raise _OtherError('its optimizer has other groups of parameters')
    groups = [{**_merged(group, mine, f'param_groups.{index}'), 'params': mine['params']}
              for index, (group, mine) in enumerate(zip(groups, own))]
    expected, states = _state_after_a_step(optimizer, groups), saved.get('state')
    if not isinstance(states, dict):
        raise _OtherError('its optimizer has no state')
    for index, state in states.items():
        mine = expected.get(index)
        if not isinstance(state, dict) or mine is None or state.keys() != mine.keys():
            raise _OtherError(f'its optimizer is of another kind than {type(optimizer).__name__}')
        for name, value in state.items():
            if not _alike(value, mine[name]):
                raise _OtherError(f'{name} of parameter {index} of its optimizer is {_kind(value)}, '
                                  f'not {_kind(mine[name])}')
    return dict(state=states, param_groups=groups)


def _state_after_a_step(optimizer: Optimizer, groups: list[dict]) -> dict:
    """What an optimizer of this kind holds for each parameter, from one that has made a step without gradient."""
    tried = copy.deepcopy(optimizer)
    tried.load_state_dict(dict(state={}, param_groups=groups))
    for group in tried.param_groups:
        for parameter in group['params']:
            parameter.grad = torch.zeros_like(parameter)
    tried.step()
    return tried.state_dict()['state']


def _schedules(saved: object, own: Sequence | dict) -> list | dict:
    if isinstance(own, dict):
        return {name: _schedules(saved.get(name) if isinstance(saved, dict) else None, part)
                for name, part in own.items()}
    if not isinstance(saved, (list, tuple)) or len(saved) != len(own):
        raise _OtherError('it has another number of schedules')
    return [_merged(state, schedule.state_dict(), f'param_schedulers.{index}')
            for index, (state, schedule) in enumerate(zip(saved, own))]


def _merged(saved: object, own: object, where: str) -> object:
    """``own`` with the numbers of ``saved``."""
    if isinstance(own, dict) and own and all(type(key) is int for key in own):  # steps at which a rate falls
        if not isinstance(saved, dict) or not all(type(part) is int for item in saved.items() for part in item):
            raise _OtherError(f'{where} is {_kind(saved)}')
        return saved
    if isinstance(own, dict):
        if not isinstance(saved, dict):
            raise _OtherError(f'{where} is {_kind(saved)}')
        return {key: _merged(saved[key], value, f'{where}.{key}') if key in saved else value
                for key, value in own.items()}
    if isinstance(own, (list, tuple)):
        if not isinstance(saved, (list, tuple)) or len(saved) != len(own):
            raise _OtherError(f'{where} is {_kind(saved)}, not {_kind(own)}')
        return type(own)(_merged(value, mine, f'{where}.{index}')
                         for index, (value, mine) in enumerate(zip(saved, own)))
    if isinstance(own, torch.Tensor) or isinstance(own, (int, float)) and not isinstance(own, bool):
        if not _alike(saved, own):
            raise _OtherError(f'{where} is {_kind(saved)}, not {_kind(own)}')
        return saved
    return own


def _alike(value: object, own: object) -> bool:
    """Whether a number or tensor may stand where the training has one of its own."""
    if isinstance(own, torch.Tensor):
        return isinstance(value, torch.Tensor) and value.shape == own.shape and (
            value.is_floating_point() == own.is_floating_point())
    if isinstance(own, (int, float)) and not isinstance(own, bool):
        return type(value) in (int, float) and (math.isfinite(value) or value == own)
    return value == own


def _kind(value: object) -> str:
    if isinstance(value, torch.Tensor):
        return f'a tensor {tuple(value.shape)} of {str(value.dtype).removeprefix("torch.")}'
    return printable(repr(value), 40)
