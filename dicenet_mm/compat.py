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
    read_checkpoints_as_data()
    set_ssd_head_loss_cls()


def missing() -> str:
    """What is not installed of the stack and how to install it, in a sentence; '' if nothing is missing."""
    names = [name for name in TESTED if importlib.util.find_spec(name) is None]
    return names and (f'dicenet_mm needs {", ".join(names)} for all but dicenet_mm.ops and dicenet_mm.layers: '
                      'pip install --no-build-isolation -e ".[openmmlab]" in its checkout, or ".[forks]" for the '
                      'maintained forks') or ''


def check_stack():
    """Warns, once, of the packages whose version is outside the tested ones.

    Raises:
        ImportError: A package of the stack is not installed.
    """
    if sentence := missing():
        raise ImportError(sentence)
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


def read_checkpoints_as_data():
    """Leads mmengine's ways to checkpoints, files and addresses, through `dicenet_mm.checkpoint.read_checkpoint`.

    That is `load_from`, `resume`, `init_cfg` and everything else that asks its `CheckpointLoader`. Its own readers
    unpickle what they fetch without restriction (http, https, and through them the short names of models), refuse
    what its runner writes (NumPy numbers and `HistoryBuffer`, whose pickle asks for the builtin `getattr`), and its
    fork onedl-mmengine unpickles without restriction what `weights_only=True` has refused.

    Upstream: mmengine #1655; the others not reported yet.
    Can go: when mmengine saves and resumes from plain data, and reads addresses with `weights_only=True`.
    (Older checkpoints keep the need.)
    """
    from mmengine.runner import checkpoint

    from dicenet_mm.checkpoint.mmengine_loader import load_checkpoint

    def load(cls, filename, map_location=None, logger='current'):
        return load_checkpoint(filename, map_location, logger)

    checkpoint.CheckpointLoader.load_checkpoint = classmethod(load)
    for scheme in checkpoint.CheckpointLoader._schemes:
        checkpoint.CheckpointLoader._schemes[scheme] = load_checkpoint
    for name in [name for name in vars(checkpoint) if name.startswith('load_from_')] + ['load_url']:
        setattr(checkpoint, name, load_checkpoint)
    if hasattr(checkpoint, '_safe_torch_load'):
        import torch
        checkpoint._safe_torch_load = functools.partial(torch.load, weights_only=True)


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
