"""Inference copies of models, with what training needs folded away."""
import mmap
from collections import OrderedDict
from contextlib import suppress
from copy import deepcopy

import torch
from mmcv.cnn import ConvModule, DepthwiseSeparableConvModule
from torch import nn

from .inference.conv_bn import DataFlow, fold_norms, is_plain
from .layers import DiCEUnit
from .layers.fused import FusedLayer, FusedMaxPool, FusedStem, FusedStridedConv
from .layers.packing import fuse_conv, fuse_layer, fuse_linear
from .layers.sequence import FusedLevels, FusedSequence, layers_of
from .models.backbones import DiCENet

LINE, LARGE_PAGE = 64, 2 ** 21  # bytes


def fuse(model: nn.Module) -> nn.Module:
    """Make a faster copy of a model for inference.

    DiCE units, the blocks around them and whole stages of blocks become one operator each, with normalisation,
    activations, concatenation and shuffle inside; so do linear layers, global pooling, the decoder's layers, and
    point-wise, depth-wise and some other convolutions with what follows them. Rows of these are called as one.
    Elsewhere batch normalisation is folded into a convolution where it alone uses what that gives
    (:mod:`dicenet_mm.inference.conv_bn`). Subclasses, and what has hooks or a ``forward`` of its own, stay as they are.
    The copy computes the same outputs (to about 1e-5 of their scale in float32), shares no state with ``model``, and is
    not for training. The fused layers are made for float32 on the CPU, where the compiled operators run them, on
    batches (N, C, H, W); a copy that is moved or cast afterwards still works, more slowly. In half and bfloat16, cast
    before or after, they compute in float32 and return the dtype that they were given.

    Args:
        model: Any model of the toolkit, or any other module, in evaluation mode throughout.

    Returns:
        The copy, in evaluation mode, its parameters without gradients. Fusing it again changes nothing. It is for
        running as it is: rows run the layers that they were made of.

    Raises:
        RuntimeError: If the model, or a part of it, is in training mode.

    Example:
        >>> import torch
        >>> from dicenet_mm.layers import DiCEUnit
        >>> unit = DiCEUnit(16, 16, (7, 7)).eval()
        >>> fuse(unit)(torch.rand(1, 16, 9, 9)).shape
        torch.Size([1, 16, 9, 9])
    """
    training = next((name or type(model).__name__ for name, part in model.named_modules() if part.training), None)
    if training is not None:
        raise RuntimeError(f'fuse() folds running statistics, which training would change, and {training} is in '
                           'training mode: call model.eval() first')
    fused = _fuse_layers(deepcopy(model))
    flow = DataFlow(fused)
    fold_norms(flow)
    fused = _join(_fuse_convs(fused, flow)).requires_grad_(False)
    fused.eval()  # the place holders of what was folded are new
    _lay_together(fused)
    return fused


def _lay_together(model: nn.Module) -> None:
    """Move packed weights into one piece of memory, in the order of their use, of large pages where there are such.

    A pass over one image reads them once from memory. With the usual pages of 4 KiB that takes twice as long.
    """
    layers = [module for module in model.modules() if isinstance(module, FusedLayer)]
    places = [(layer, name, tensor) for layer in layers for name, tensor in layer.named_buffers(recurse=False)
              if tensor.is_cpu]
    if not places or not hasattr(mmap, 'MADV_HUGEPAGE'):
        return
    sizes = [-(-tensor.nbytes // LINE) * LINE for *_, tensor in places]
    memory = mmap.mmap(-1, sum(sizes) + LARGE_PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # the system may have none
        memory.madvise(mmap.MADV_HUGEPAGE)
    offset = -torch.frombuffer(memory, dtype=torch.uint8).data_ptr() % LARGE_PAGE
    for (layer, name, tensor), size in zip(places, sizes):
        moved = torch.frombuffer(memory, dtype=tensor.dtype, count=tensor.numel(), offset=offset)
        layer.register_buffer(name, moved.view_as(tensor).copy_(tensor))
        offset += size


def _fuse_layers(module: nn.Module) -> nn.Module:
    fused = fuse_layer(module) if is_plain(module) else None
    if fused is not None:
        return fused
    if not isinstance(module, DiCEUnit):  # which looks into its layers
        for name, child in module.named_children():
            setattr(module, name, _fuse_layers(child))
    return module


def _fuse_convs(module: nn.Module, flow: DataFlow) -> nn.Module:
    """Convolutions whose normalisation is folded already, and the activations beside them."""
    if not is_plain(module) or flow.is_read(module):
        pass
    elif type(module) is nn.Conv2d:
        return fuse_conv(module) or module
    elif type(module) is nn.Linear:
        return fuse_linear(module) or module
    elif type(module) is ConvModule:
        module = _open(module)
    elif type(module) is DepthwiseSeparableConvModule:
        module = nn.Sequential(OrderedDict(module.named_children()))
    for name, child in module.named_children():
        setattr(module, name, _fuse_convs(child, flow))
    return module


def _open(module: ConvModule) -> nn.Module:
    """A convolution without normalisation as the row of its layers, of which callers cannot leave one out."""
    if module.with_norm and not isinstance(module.norm, nn.Identity):
        return module
    act = module.activate if module.with_activation else nn.Identity()
    if module.order == ('conv', 'norm', 'act') and not module.with_explicit_padding:
        fused = fuse_conv(module.conv, act)
        if fused is not None:
            return fused
    row = OrderedDict()
    for name in module.order:
        if name == 'conv' and module.with_explicit_padding:
            row['padding_layer'] = module.padding_layer
        if name != 'norm':
            row[name] = module.conv if name == 'conv' else act
    return nn.Sequential(row)


def _join(module: nn.Module) -> nn.Module:
    """Rows of fused layers into one call each, the longest there are."""
    if not is_plain(module):
        pass
    elif type(module) is DiCENet:
        _join_stem(module)
        levels = {name: getattr(module, name) for name in module.levels}
        if None not in map(layers_of, levels.values()):
            return FusedLevels(levels, module.out_indices, module.out_channels)
    elif len(layers_of(module) or ()) > 1:
        return FusedSequence(module._modules)
    for name, child in module.named_children():
        setattr(module, name, _join(child))
    return module


def _join_stem(backbone: DiCENet) -> None:
    """The map between stem and max pool, the largest of all, is not kept where nobody asks for it."""
    if (0 not in backbone.out_indices and isinstance(backbone.stem, FusedStridedConv)
            and isinstance(backbone.pool, FusedMaxPool)):
        backbone.stem, backbone.pool = FusedStem(point=backbone.stem.pack('point')), nn.Identity()
