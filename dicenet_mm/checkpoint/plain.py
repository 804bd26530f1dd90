"""Tensors and plain data, and nothing else: what is left of a checkpoint once it is read."""
import math
from collections import Counter, OrderedDict

import torch

from dicenet_mm.errors import UserError, printable

from .history import Array, History

#: Values in one file, counted as often as they are referred to, levels of nesting, and letters of a name.
MAX_VALUES, MAX_DEPTH, MAX_NAME = 300_000, 64, 1000

_AS_THEY_ARE = (type(None), bool, int, float, str, bytes)
_SEQUENCES = {list: list, tuple: tuple, torch.Size: tuple, set: list}
_DTYPES = {torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2,
           torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool}


def to_plain_data(value: object, file_bytes: int | None = None) -> object:
    """Copy what was read from a file, letting through tensors, None, numbers, text, bytes, lists, tuples and dicts.

    Types are compared exactly: a subclass of ``dict`` becomes a dict, one of ``Tensor`` is refused. Names of dicts are
    free of control characters, since messages show them.

    Args:
        value: What was read.
        file_bytes: Size of the file, bytes: tensors that claim more than it holds are refused.

    Raises:
        UserError: If there is anything else, or too much of it, naming where it stands.
    """
    return _Copy(file_bytes).copy(value)


class _Copy:

    def __init__(self, file_bytes: int | None):
        self.file_bytes, self.left, self.path = file_bytes, MAX_VALUES, []
        self.storages, self.claimed = set(), 0

    @property
    def where(self) -> str:
        return printable('.'.join(map(str, self.path)) or 'it')

    def copy(self, value: object) -> object:
        self.left -= 1
        if self.left < 0 or len(self.path) > MAX_DEPTH:
            raise UserError(f'it holds more than {MAX_VALUES} values, or more than {MAX_DEPTH} inside each other, as '
                            'no checkpoint does')
        kind = type(value)
        if kind in _AS_THEY_ARE:
            return value
        if kind in (History, Array):
            return self.copy(value.plain)
        if kind in _SEQUENCES:
            items = value if kind is not set else sorted(value, key=repr)
            return _SEQUENCES[kind](self.inside(index, item) for index, item in enumerate(items))
        if kind in (dict, OrderedDict, Counter):
            return self.copy_dict(value)
        if kind in (torch.Tensor, torch.nn.Parameter):
            return self.copy_tensor(value)
        raise UserError(f'{self.where} is a {printable(kind.__name__)}: only tensors, numbers, text and lists, tuples '
                        'and dicts of them are read from a checkpoint')

    def inside(self, name: object, value: object) -> object:
        self.path.append(name)
        copied = self.copy(value)
        self.path.pop()
        return copied

    def copy_dict(self, value: dict) -> dict:
        copied = {}
        for key, item in dict.items(value):
            if isinstance(key, str) and (not key.isprintable() or len(key) > MAX_NAME) or (
                    type(key) not in (*_AS_THEY_ARE, tuple)):
                raise UserError(f'a name in {self.where} is not plain text: {printable(repr(key))}')
            copied[key] = self.inside(key, item)
        versions = getattr(value, '_metadata', None)
        if self.path in ([], ['state_dict']) and isinstance(versions, dict) and versions:  # of modules: older weights
            copied = OrderedDict(copied)
            copied._metadata = {name: {'version': kept['version']} for name, kept in versions.items() if (
                isinstance(name, str) and isinstance(kept, dict) and type(kept.get('version')) is int)}
        return copied

    def copy_tensor(self, value: torch.Tensor) -> torch.Tensor:
        if (value.layout is not torch.strided or value.device.type != 'cpu' or value.dtype not in _DTYPES
                or value.is_quantized):
            raise UserError(f'{self.where} is a tensor of another kind than dense numbers')
        tensor = value.detach()  # which also leaves attributes and hooks behind
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self.storages:
            self.storages.add(storage.data_ptr())
            self.claimed += storage.nbytes()
        held = storage.nbytes() if self.file_bytes is None else min(storage.nbytes(), self.file_bytes)
        if tensor.numel() * tensor.element_size() > held or self.claimed > (self.file_bytes or math.inf):
            raise UserError(f'{self.where} says that it is {printable(tuple(tensor.shape))}, more than the file holds')
        return tensor


def dataset_meta(checkpoint: dict, source: object) -> dict:
    """The class names that a checkpoint carries, and their colours where it has some.

    Args:
        checkpoint: As :func:`dicenet_mm.checkpoint.read_checkpoint` gives it.
        source: Where it came from, for the message.

    Returns:
        ``classes``, a tuple of text without control characters, and perhaps ``palette``, tuples of R, G, B, 0 to 255;
        or nothing, if it carries no class names.

    Raises:
        UserError: If they are something else.
    """
    meta = (checkpoint.get('meta') or {}).get('dataset_meta') or {}
    if not isinstance(meta, dict):
        raise UserError(f'{source} carries no class names, but a {type(meta).__name__}, as dataset_meta')
    classes = meta.get('classes', meta.get('CLASSES'))
    if classes is None:
        return {}
    if not isinstance(classes, (list, tuple)) or not all(isinstance(name, str) for name in classes):
        raise UserError(f'{source} carries something else than names as its classes')
    kept = dict(classes=tuple(printable(name, 200) for name in classes))
    palette = meta.get('palette')
    if isinstance(palette, (list, tuple)) and len(palette) >= len(classes) and all(
            isinstance(colour, (list, tuple)) and len(colour) == 3
            and all(type(part) is int and 0 <= part <= 255 for part in colour) for colour in palette):
        kept['palette'] = [tuple(colour) for colour in palette]
    return kept
