"""The upstream gaps, one function each, closed before anything of mmdet, mmseg or mmpretrain is imported.

Each docstring names the upstream issue and says when its function can go; `docs/upstream.md` has the table.
"""
import functools
import importlib.util
import sys
import types
import warnings
from importlib.machinery import ModuleSpec
from importlib.metadata import PackageNotFoundError, version
from pickle import UnpicklingError

from packaging.specifiers import SpecifierSet

# Import name -> distributions that carry it, upstream's and the maintained forks', and their tested versions.
TESTED = {
    'torch': {'torch': '==2.14.*'},
    'torchvision': {'torchvision': '==0.29.*'},
    'mmengine': {'mmengine': '==0.10.*', 'onedl-mmengine': '==0.10.*'},
    'mmcv': {'mmcv-lite': '==2.1.*', 'mmcv': '==2.1.*', 'onedl-mmcv': '==2.3.*'},
    'mmdet': {'mmdet': '==3.3.*', 'onedl-mmdetection': '==3.5.*'},
    'mmseg': {'mmsegmentation': '==1.2.*', 'onedl-mmsegmentation': '==1.4.*'},
    'mmpretrain': {'mmpretrain': '==1.2.*', 'onedl-mmpretrain': '==1.3.*'},
}


def apply():
    """Closes every gap. Safe to call twice.

    Raises:
        ImportError: A package of the stack is not installed.
    """
    check_stack()
    provide_mmcv_ext()
    allow_mmengine_checkpoints()
    keep_loading_restricted()
    set_ssd_head_loss_cls()


def check_stack():
    """Warns, once, of the packages whose version is outside the tested ones.

    Raises:
        ImportError: A package of the stack is not installed.
    """
    missing = [name for name in TESTED if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(f'dicenet_mm needs {", ".join(missing)}: pip install --no-build-isolation -e ".[openmmlab]" '
                          'in its checkout, or ".[forks]" for the maintained forks')
    untested = []
    for distributions in TESTED.values():
        for name, tested in distributions.items():
            installed = _installed(name)
            if installed and not SpecifierSet(tested).contains(installed, prereleases=True):
                untested.append(f'{name} {installed} (tested: {tested})')
    if untested:
        warnings.warn(f'dicenet_mm was not tested with {", ".join(untested)}; if something fails, install a '
                      f'tested version', stacklevel=2)


def _installed(distribution):
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def provide_mmcv_ext():
    """Stands in for mmcv's compiled module `mmcv._ext` where it is absent, so that `mmcv.ops` imports.

    Non-maximum suppression runs in torchvision; any other operator raises when it is called, not before.

    Upstream: mmcv-lite has no operators, yet mmdet imports `mmcv.ops` (mmdetection #10619, open).
    Can go: when mmdet imports, and suppresses boxes, beside mmcv-lite.
    """
    if importlib.util.find_spec('mmcv._ext') is not None:
        return
    module = types.ModuleType('mmcv._ext', 'Stand-in of dicenet_mm for the compiled operators of mmcv.')
    # With no loader mmengine and mmcv still see that the operators are not compiled.
    module.__spec__ = ModuleSpec(module.__name__, None)
    module.nms = _nms
    module.get_compiler_version = lambda: 'not compiled'
    module.get_compiling_cuda_version = lambda: 'not compiled'
    module.__getattr__ = _missing_op
    sys.modules[module.__name__] = module


def _nms(boxes, scores, iou_threshold, offset):
    """mmcv's operator: boxes (N,4) and scores (N,) to the indices kept, best first. With an offset of 1 the
    last pixel is a part of the box, whose width is then x2 - x1 + 1."""
    import torch
    from torchvision.ops import nms
    return nms(torch.cat([boxes[:, :2], boxes[:, 2:] + offset], 1), scores, iou_threshold)


def _missing_op(name):
    if name.startswith('__'):
        raise AttributeError(name)

    def op(*args, **kwargs):
        raise NotImplementedError(
            f'the operator {name} needs mmcv compiled, and here it is not: pip uninstall mmcv-lite, then '
            f'pip install mmcv, which may compile for twenty minutes')

    return op


def allow_mmengine_checkpoints():
    """Lets `torch.load(weights_only=True)`, the default, read the checkpoints that mmengine's runner writes.

    They hold NumPy numbers and `HistoryBuffer`, whose pickle asks for the builtin `getattr`; a stand-in that
    knows the buffer's statistics, and nothing else, serves that name.

    Upstream: mmengine #1655.
    Can go: when mmengine saves, and resumes from, plain data. (Older checkpoints keep the need.)
    """
    import numpy as np
    import torch
    from mmengine.logging import HistoryBuffer

    scalar, reconstruct = np.float64().__reduce__()[0], np.empty(0).__reduce__()[0]
    numbers = np.typecodes['AllInteger'] + np.typecodes['AllFloat'] + '?'
    torch.serialization.add_safe_globals([
        HistoryBuffer,
        (_history_buffer_statistic, 'builtins.getattr'),
        np.ndarray,
        np.dtype,
        *{type(np.dtype(code)) for code in numbers},
        # NumPy 2 renamed numpy.core to numpy._core: checkpoints of both are about.
        *[(function, f'numpy.{core}.multiarray.{function.__name__}')
          for function in (scalar, reconstruct) for core in ('core', '_core')],
    ])


def _history_buffer_statistic(owner, name):
    from mmengine.logging import HistoryBuffer
    if owner is not HistoryBuffer or name not in ('min', 'max', 'mean', 'current'):
        raise UnpicklingError(f'the checkpoint asks for getattr({owner!r}, {name!r}), which may run code: '
                              f'only the statistics of HistoryBuffer are read this way')
    return getattr(HistoryBuffer, name)


def keep_loading_restricted():
    """Stops the fork onedl-mmengine from unpickling without restriction what `weights_only=True` has refused.

    Its `_safe_torch_load` also allows the real `getattr`. After `allow_mmengine_checkpoints`, `torch.load`
    can take its place.

    Upstream: onedl-mmengine 0.10.12 (not reported yet).
    Can go: when the fork no longer falls back to `weights_only=False`.
    """
    import torch
    from mmengine.runner import checkpoint
    if hasattr(checkpoint, '_safe_torch_load'):
        checkpoint._safe_torch_load = torch.load


def set_ssd_head_loss_cls():
    """Gives mmdet's `SSDHead` the attribute `loss_cls`, which prediction reads and its `__init__` forgets.

    Upstream: mmdetection #11063, #11780.
    Can go: when a freshly built SSDHead has `loss_cls`.
    """
    from mmdet.models import SSDHead
    build = SSDHead.__init__

    @functools.wraps(build)
    def __init__(self, *args, **kwargs):
        build(self, *args, **kwargs)
        if not hasattr(self, 'loss_cls'):
            self.loss_cls = None

    SSDHead.__init__ = __init__
