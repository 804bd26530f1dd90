"""The fused form of a layer: what it has learnt, folded and packed. :func:`dicenet_mm.fuse` puts them in."""
from collections.abc import Collection, Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights

from dicenet_mm.ops import inference, library

from .blocks import DiCEBlock, StridedDiCEBlock
from .dice import DiCEUnit
from .fused import (
    NARROW,
    FusedAveragePool,
    FusedDiCEStage,
    FusedDiCEUnit,
    FusedFlatten,
    FusedGatedConv,
    FusedGlobalAveragePool,
    FusedGroupedConv,
    FusedLinear,
    FusedMaxPool,
    FusedPointWise,
    FusedPyramidPool,
    FusedSpatialConv,
    FusedStridedConv,
    FusedUpsampleAdd,
)
from .pyramid_pool import EfficientPointWise, EfficientPyramidPool, UpsampleAdd
from .units import ConvNormAct


def fuse_layer(module: nn.Module) -> nn.Module | None:
    """The fused form of one layer, or None if it has none.

    Fused are units, blocks, the layers of ESPNetv2's decoder, 3x3 pooling of stride 2, global average pooling,
    flattening, and the convolutions of :func:`fuse_conv`; in float32 on the CPU (units also on CUDA, where they were
    compiled for it), with BN as normalisation and PReLU, ReLU or none as activation.
    """
    packer = _PACKERS.get(type(module))
    devices = inference.UNIT_DEVICES if type(module) is DiCEUnit else {'cpu'}
    module = _in_float32(module, devices) if packer else None
    return None if module is None else packer(module)


def fuse_conv(conv: nn.Conv2d, act: nn.Module | None = None) -> nn.Module | None:
    """The fused form of a convolution (with a bias or without) and the activation after it, or None if it has none.

    Fused are 1x1 convolutions (grouped ones too, if the groups are not tiny), depth-wise and other grouped 3x3 ones,
    and dense 3x3 ones of stride 2, all padded to the same size.
    """
    both = _in_float32(nn.ModuleList([conv, act or nn.Identity()]), {'cpu'}) if type(conv) is nn.Conv2d else None
    if both is None:
        return None
    conv, act = both
    slope = _slope(act, conv.weight)
    if slope is None:
        return None
    bias = torch.zeros(conv.out_channels) if conv.bias is None else conv.bias
    packed = _packed_conv(conv, conv.weight, bias, slope)
    return packed and packed.stand_for(conv)


def fuse_linear(linear: nn.Linear) -> nn.Module | None:
    """The fused form of a linear layer, or None if it has none."""
    linear = _in_float32(linear, {'cpu'}) if type(linear) is nn.Linear else None
    if linear is None:
        return None
    bias = torch.zeros(linear.out_features) if linear.bias is None else linear.bias
    packed = FusedLinear(point=inference.pack_point(linear.weight, bias, torch.ones(linear.out_features)))
    return packed.stand_for(linear)


def _packed_conv(conv: nn.Conv2d, weight: Tensor, bias: Tensor, slope: Tensor) -> nn.Module | None:
    if conv.dilation != (1, 1) or conv.padding_mode != 'zeros':
        return None
    geometry = (conv.kernel_size, conv.stride, conv.padding)
    dense = conv.groups == 1
    if geometry == ((1, 1), (1, 1), (0, 0)) and (dense or conv.in_channels >= 16 * conv.groups):
        return FusedPointWise(point=inference.pack_groups(weight, bias, slope, conv.groups))
    if dense and geometry == ((3, 3), (2, 2), (1, 1)):
        return FusedStridedConv(point=inference.pack_point(weight, bias, slope))
    if dense or geometry != ((3, 3), (1, 1), (1, 1)):  # PyTorch's dense one is as fast
        return None
    if conv.groups == conv.in_channels == conv.out_channels:
        return FusedSpatialConv(spatial=[inference.pack_spatial(weight, bias, slope)])
    return FusedGroupedConv(point=inference.pack_groups(weight, bias, slope, conv.groups))


def _in_float32(module: nn.Module, devices: Collection[str]) -> nn.Module | None:
    """The module, or a copy of what is in half or bfloat16; None where operators of float32 do not serve."""
    tensors = module.state_dict().values()
    dtypes = {tensor.dtype for tensor in tensors if tensor.is_floating_point()}
    if not (library.LOADED and dtypes <= {torch.float32, *NARROW} and {t.device.type for t in tensors} <= set(devices)):
        return None
    return deepcopy(module).float() if dtypes & NARROW else module


def _max_pool(pool: nn.MaxPool2d) -> nn.Module | None:
    usual = nn.MaxPool2d(3, stride=2, padding=1)
    return FusedMaxPool() if pool.extra_repr() == usual.extra_repr() and not pool.return_indices else None


def _average_pool(pool: nn.AvgPool2d) -> nn.Module | None:
    usual = nn.AvgPool2d(3, stride=2, padding=1)
    same = pool.extra_repr() == usual.extra_repr() and not pool.ceil_mode
    return FusedAveragePool() if same and pool.count_include_pad and pool.divisor_override is None else None


def _global_average_pool(pool: nn.AdaptiveAvgPool2d) -> nn.Module | None:
    return FusedGlobalAveragePool() if pool.output_size in (1, (1, 1)) else None


def _flatten(flatten: nn.Flatten) -> nn.Module | None:
    return FusedFlatten() if (flatten.start_dim, flatten.end_dim) == (1, -1) else None


def _conv(layers: ConvNormAct) -> nn.Module | None:
    folded = _folded(layers)
    return _packed_conv(layers[0], *folded) if folded else None


def _stage(layers: Sequence[nn.Module]) -> nn.Module | None:
    kinds = [type(layer) for layer in layers]
    starts = kinds[:1] == [StridedDiCEBlock]
    if not kinds or set(kinds[starts:]) - {DiCEBlock}:
        return None
    strided, *blocks = _strided_packs(layers[0]) if starts else [], *map(_block_packs, layers[starts:])
    return FusedDiCEStage(*inference.pack_stage(strided, blocks)) if strided is not None and all(blocks) else None


def _one_block(block: DiCEBlock | StridedDiCEBlock) -> nn.Module | None:
    return _stage([block])


def _block_packs(block: DiCEBlock) -> list[Tensor] | None:
    packs = _point(block.branch[0]), _unit(block.branch[1])
    return [tensor for pack in packs for tensor in pack] if all(packs) else None


def _strided_packs(block: StridedDiCEBlock) -> list[Tensor] | None:
    left = _folded(block.left[0])
    packs = (left and [inference.pack_spatial(*left)], _point(block.left[1]), _unit(block.right[1]),
             _point(block.right[2]))
    return [tensor for pack in packs for tensor in pack] if all(packs) else None


def _pyramid_pool(pool: EfficientPyramidPool) -> nn.Module | None:
    affine, act = _affine(pool.norm_act[0]), pool.norm_act[1]
    slopes, merge, project = affine and _slope(act, affine[0]), _folded(pool.merge), _point(pool.project)
    if isinstance(pool.out, nn.Conv2d):
        out = inference.pack_point(pool.out.weight, pool.out.bias, torch.ones(pool.out.out_channels))
    else:
        out = _point(pool.out)
    if slopes is None or not (merge and project and out):
        return None
    branches = [(conv.weight * scale.view(-1, 1, 1, 1), shift, slope) for conv, scale, shift, slope in zip(
        pool.branches, *(value.chunk(len(pool.branches)) for value in (*affine, slopes)))]
    return FusedPyramidPool(pool.scales, project=project, pool=[inference.pack_pyramid_pool(branches, merge)], out=out)


def _gated_conv(layer: EfficientPointWise) -> nn.Module | None:
    expand, gate = _folded(layer.expand), layer.gate[1]
    if not expand:
        return None
    zero, one = torch.zeros(gate.out_channels), torch.ones(gate.out_channels)
    return FusedGatedConv(expand=inference.pack_groups(*expand, layer.expand[0].groups),
                          gate=inference.pack_point(gate.weight, zero, one))


def _upsample_add(layer: UpsampleAdd) -> nn.Module | None:
    affine = _affine(layer[0])
    slope = affine and _slope(layer[1], affine[0])
    if slope is None:
        return None
    return FusedUpsampleAdd(parameters=[torch.stack((*affine, slope - 1), dim=1)])


def _only_unit(unit: DiCEUnit) -> nn.Module | None:
    packed = _unit(unit)
    return FusedDiCEUnit(*inference.pack_unit(packed)) if packed else None


_PACKERS = {
    nn.MaxPool2d: _max_pool,
    nn.AvgPool2d: _average_pool,
    nn.AdaptiveAvgPool2d: _global_average_pool,
    nn.Flatten: _flatten,
    nn.Sequential: _stage,
    ConvNormAct: _conv,
    DiCEUnit: _only_unit,
    DiCEBlock: _one_block,
    StridedDiCEBlock: _one_block,
    EfficientPyramidPool: _pyramid_pool,
    EfficientPointWise: _gated_conv,
    UpsampleAdd: _upsample_add,
}


def _unit(unit: DiCEUnit) -> list[Tensor] | None:
    conv, fuse = unit.dim_conv, unit.dim_fuse
    affine, slope = _affine(unit.norm), _slope(unit.act, fuse.local[0].weight.flatten())
    local, spatial = _folded(fuse.local), _folded(fuse.spatial)
    depth_wise = fuse.spatial[0].groups == fuse.spatial[0].in_channels == fuse.spatial[0].out_channels
    if affine is None or slope is None or not (local and spatial and depth_wise and conv.dilation == 1):
        return None
    by_branch = [value.view(-1, 3) for value in (*affine, slope)]
    return [conv.depth_weight, conv.height_weight, conv.width_weight,
            inference.pack_local(*by_branch, local[0].view(-1, 3), *local[1:]), inference.pack_spatial(*spatial),
            fuse.gate[1].weight.flatten(1), fuse.gate[3].weight.flatten(1)]


def _point(layers: nn.Sequential) -> list[Tensor] | None:
    folded = _folded(layers)
    return inference.pack_point(*folded) if folded else None


def _folded(layers: nn.Sequential) -> tuple[Tensor, Tensor, Tensor] | None:
    """Weight, bias and slope of a convolution, a batch normalisation and an activation."""
    conv, norm, act = layers
    slope = _slope(act, conv.weight)
    if not isinstance(norm, _BatchNorm) or norm.running_var is None or slope is None:
        return None
    weight, bias = fuse_conv_bn_weights(conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps,
                                        norm.weight, norm.bias)
    return weight, bias, slope


def _affine(norm: nn.Module) -> tuple[Tensor, Tensor] | None:
    """Scale and shift of a normalisation by running statistics."""
    if not isinstance(norm, _BatchNorm) or norm.running_var is None:
        return None
    scale = (norm.running_var + norm.eps).rsqrt()
    if norm.affine:
        scale = scale * norm.weight
    shift = -norm.running_mean * scale
    return scale, shift + norm.bias if norm.affine else shift


def _slope(act: nn.Module, weight: Tensor) -> Tensor | None:
    """The activation as PReLU's slope of each channel, of which ``weight`` has as many as rows."""
    if isinstance(act, nn.PReLU):
        return act.weight.detach().expand(len(weight))
    constant = {nn.ReLU: 0., nn.Identity: 1.}.get(type(act))
    return None if constant is None else weight.new_full((len(weight),), constant)
