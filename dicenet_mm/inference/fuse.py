"""Inference copies of models, with what training needs folded away."""
from collections import OrderedDict
from collections.abc import Callable
from copy import deepcopy

import torch
from mmcv.cnn import ConvModule, DepthwiseSeparableConvModule
from torch import nn

from dicenet_mm.layers import (
    DiCEBlock,
    DiCEUnit,
    EfficientPointWise,
    EfficientPyramidPool,
    StridedDiCEBlock,
    UpsampleAdd,
)
from dicenet_mm.layers.blocks import fused_stage
from dicenet_mm.layers.units import ConvNormAct
from dicenet_mm.models.backbones import DiCENet
from dicenet_mm.ops import inference, library

from .arena import move_to_arena
from .conv_bn import DataFlow, fold_norms, is_plain
from .fused_op import NARROW, FusedOp
from .graph import GraphedModel
from .sequence import FusedLevels, FusedSequence, layers_of
from .torch_layers import TORCH_LAYERS, fused_conv_act

#: What makes the inference form of a layer, by its exact type, since subclasses may do more.
LAYERS: dict[type[nn.Module], Callable[[nn.Module], nn.Module | None]] = {
    **TORCH_LAYERS,
    nn.Sequential: fused_stage,
    **{kind: kind.fused for kind in (ConvNormAct, DiCEUnit, DiCEBlock, StridedDiCEBlock, EfficientPyramidPool,
                                     EfficientPointWise, UpsampleAdd)},
}


def fuse(model: nn.Module, graph: bool = False) -> nn.Module:
    """Make a faster copy of a model for inference.

    DiCE units, the blocks around them and whole stages of blocks become one operator each, with normalisation,
    activations, concatenation and shuffle inside; so do linear layers, global pooling, the decoder's layers, and
    point-wise, depth-wise and some other convolutions with what follows them. Rows of these are called as one.
    Elsewhere batch normalisation is folded into a convolution where it alone uses what that gives
    (:mod:`dicenet_mm.inference.conv_bn`). Subclasses, and what has hooks or a ``forward`` of its own, stay as they are.
    The copy computes the same outputs (to about 1e-5 of their scale in float32), shares no state with ``model``, and is
    not for training. The fused layers are made for batches (N, C, H, W) in float32 on the CPU, where the compiled
    operators run them, and for float32, half and bfloat16 on CUDA, where those of CUDA run units and stages; a copy may
    be moved and cast afterwards. Parameters that half does not hold stay in float32. On the CPU half and bfloat16, cast
    before or after, are computed in float32 and returned in the dtype that was given.

    Args:
        model: Any model of the toolkit, or any other module, in evaluation mode throughout.
        graph: Replay passes on CUDA as graphs, which takes the launches' time at small batches. The model then takes
            one tensor, depends on nothing but its shape, and is called from one thread at a time
            (:class:`dicenet_mm.inference.graph.GraphedModel`).

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
    move_to_arena(fused)
    return GraphedModel(fused).eval() if graph else fused


def _fuse_layers(module: nn.Module) -> nn.Module:
    """Layers that have an inference form, whole."""
    fused = _fused(module, LAYERS.get(type(module))) if type(module) not in (nn.Conv2d, nn.Linear) else None
    if fused is not None:
        return fused
    if not isinstance(module, DiCEUnit):  # which looks into its layers
        for name, child in module.named_children():
            setattr(module, name, _fuse_layers(child))
    return module


def _fuse_convs(module: nn.Module, flow: DataFlow) -> nn.Module:
    """Convolutions whose normalisation is folded already, and the activations beside them; linear layers."""
    if not is_plain(module) or flow.is_read(module):
        pass
    elif type(module) in (nn.Conv2d, nn.Linear):
        return _fused(module, LAYERS[type(module)]) or module
    elif type(module) is ConvModule:
        module = _open(module)
    elif type(module) is DepthwiseSeparableConvModule:
        module = nn.Sequential(OrderedDict(module.named_children()))
    for name, child in module.named_children():
        setattr(module, name, _fuse_convs(child, flow))
    return module


def _fused(module: nn.Module, make: Callable[[nn.Module], nn.Module | None] | None) -> nn.Module | None:
    """What ``make`` makes of a layer, or of a copy in float32 of one in half; None where no operators serve."""
    if make is None or not is_plain(module) or not library.LOADED:
        return None
    tensors = module.state_dict().values()
    dtypes = {tensor.dtype for tensor in tensors if tensor.is_floating_point()}
    devices = {tensor.device.type for tensor in tensors}
    if not (dtypes <= {torch.float32, *NARROW} and devices <= inference.UNIT_DEVICES):
        return None
    if not dtypes & NARROW:
        return make(module)
    fused = make(deepcopy(module).float())
    return fused and fused.to(min(dtypes & NARROW, key=str))


def _open(module: ConvModule) -> nn.Module:
    """A convolution without normalisation as the row of its layers, of which callers cannot leave one out."""
    if module.with_norm and not isinstance(module.norm, nn.Identity):
        return module
    act = module.activate if module.with_activation else nn.Identity()
    if module.order == ('conv', 'norm', 'act') and not module.with_explicit_padding:
        row = nn.Sequential(module.conv, act)
        fused = _fused(row, lambda row: fused_conv_act(*row)) if type(module.conv) is nn.Conv2d else None
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
    stem, pool = (getattr(level, 'operator', None) for level in (backbone.stem, backbone.pool))
    if 0 not in backbone.out_indices and (stem, pool) == ('strided_conv', 'max_pool'):
        backbone.stem, backbone.pool = FusedOp('strided_conv_pool', backbone.stem.weights), nn.Identity()
