"""Stand-ins for what older checkpoints of mmengine hold besides plain data: its log history and NumPy's numbers.

A pickle names functions and classes, and says what to call them with. For the few names that such files need, these
stand in: they take the numbers as bytes, check sizes, and never make an object of NumPy or mmengine.
"""
import math
from pickle import UnpicklingError

import numpy as np
import torch

# What may stand in a NumPy dtype: kind and bytes an item. Objects, text, dates and structures may not.
_CODES = {f'{kind}{size}' for kind, sizes in {'f': (2, 4, 8), 'i': (1, 2, 4, 8), 'u': (1, 2, 4, 8), 'b': (1, )}.items()
          for size in sizes}


class Dtype:
    """A NumPy dtype as its code: ``f4`` and a byte order."""

    def __init__(self, code: str, align: object = False, copy: object = True):
        if code not in _CODES:
            raise UnpicklingError(f'it holds NumPy values of type {str(code)[:20]!r}: only numbers are read')
        self.code, self.order = code, '<'

    def __setstate__(self, state: tuple):
        # (version, byte order, subtype, names, fields, itemsize, alignment, flags); all but the order is known
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ('<', '>', '|', '='):
            raise UnpicklingError('it holds a NumPy dtype with a state that no number has')
        if any(part is not None for part in state[2:5]):
            raise UnpicklingError('it holds a NumPy dtype with fields: only numbers are read')
        self.order = {'>': '>'}.get(state[1], '<')

    def numbers(self, raw: object, count: int) -> np.ndarray:
        """``count`` numbers from their bytes."""
        if isinstance(raw, str):
            raw = raw.encode('latin1')
        if not isinstance(raw, bytes) or len(raw) != count * int(self.code[1:]):
            raise UnpicklingError('it holds a NumPy array whose size is not that of its numbers')
        numbers = np.frombuffer(raw, dtype=self.order + self.code)
        return numbers.astype(numbers.dtype.newbyteorder('='))


class Array:
    """``numpy.ndarray``, and what ``numpy.core.multiarray._reconstruct`` returns."""

    numbers: np.ndarray | None = None

    @property
    def plain(self) -> object:
        """The numbers in lists."""
        return None if self.numbers is None else self.numbers.tolist()

    def __setstate__(self, state: tuple):
        if not isinstance(state, tuple) or len(state) != 5:
            raise UnpicklingError('it holds a NumPy array in a form that is not known')
        _, shape, dtype, fortran, raw = state
        if (not isinstance(shape, tuple) or not all(type(side) is int and side >= 0 for side in shape)
                or not isinstance(dtype, Dtype)):
            raise UnpicklingError('it holds a NumPy array of a shape or type that is not known')
        self.numbers = dtype.numbers(raw, math.prod(shape)).reshape(shape, order='F' if fortran else 'C')


def reconstruct(kind: object, shape: object, code: object) -> Array:
    """``numpy.core.multiarray._reconstruct``."""
    return Array()


def scalar(dtype: Dtype, raw: object) -> int | float | bool:
    """``numpy.core.multiarray.scalar``: one number, as Python's."""
    if not isinstance(dtype, Dtype):
        raise UnpicklingError('it holds a NumPy number of a type that is not known')
    return dtype.numbers(raw, 1)[0].item()


def statistic(owner: object, name: object) -> None:
    """``getattr``, which the history's pickle asks for its own statistics with: nothing is looked up."""
    if owner is not History or not isinstance(name, str):
        raise UnpicklingError('it asks for an attribute of something else than a log history')


def no_bytes(*arguments: object) -> bytes:
    """``bytes``, which a pickle asks for an empty one with."""
    if arguments:
        raise UnpicklingError('it makes bytes in a way that no checkpoint does')
    return b''


class History:
    """``mmengine.logging.HistoryBuffer``, as its numbers."""

    plain: dict | None = None

    def __setstate__(self, state: dict):
        logs, counts, length = (state.get(key) for key in ('_log_history', '_count_history', 'max_length'))
        logs, counts = ([] if part is None else part for part in (logs, counts))
        if not all(isinstance(part, Array) and part.numbers is not None and part.numbers.ndim == 1
                   for part in (logs, counts)) or len(logs.numbers) != len(counts.numbers) or type(length) is not int:
            raise UnpicklingError('it holds a log history in a form that is not known')
        self.plain = dict(log_history=torch.from_numpy(logs.numbers.copy()),
                          count_history=torch.from_numpy(counts.numbers.copy()), max_length=length)


#: What serves the names that a pickle may ask for besides torch's own.
STAND_INS = [
    (Dtype, 'numpy.dtype'),
    (Array, 'numpy.ndarray'),
    (History, 'mmengine.logging.history_buffer.HistoryBuffer'),
    (statistic, 'builtins.getattr'),
    (no_bytes, 'builtins.bytes'),
    # NumPy 2 renamed numpy.core to numpy._core: checkpoints of both are about.
    *[(function, f'numpy.{core}.multiarray.{name}') for core in ('core', '_core')
      for function, name in ((reconstruct, '_reconstruct'), (scalar, 'scalar'))],
]
