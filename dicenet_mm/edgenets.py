"""The authors' checkpoints (EdgeNets) in this toolkit's parameter names."""
import re
from collections.abc import Callable, Sequence

from torch import Tensor

from dicenet_mm.errors import UserError, printable
from dicenet_mm.models.backbones import dicenet, espnetv2

Names = Sequence[tuple[str, str]]
BOXES = 6  # of a detector at each place of a map

# Theirs -> ours, as patterns in the order of application. A CBR is convolution, normalisation, activation with both;
# they are `cbr.0-2` in DiCENet and the decoder, `conv`, `bn` and `act` in ESPNetv2.
_DICENET: Names = (
    (r'^level1\.', 'backbone.stem.'),
    *((rf'^level{stage + 2}\.', f'backbone.stage{stage}.') for stage in (1, 2, 3)),
    (r'\.left_layer\.', '.left.'),
    (r'\.right_layer\.', '.right.'),
    (r'\.layer_right\.', '.branch.'),
    (r'\.conv_channel\.weight$', '.dim_conv.depth_weight'),
    (r'\.conv_height\.weight$', '.dim_conv.height_weight'),
    (r'\.conv_width\.weight$', '.dim_conv.width_weight'),
    (r'\.br_act\.br\.0\.', '.norm.'),
    (r'\.br_act\.br\.1\.', '.act.'),
    (r'\.weight_avg_layer\.', '.dim_fuse.local.'),
    (r'\.proj_layer\.', '.dim_fuse.spatial.'),
    (r'\.linear_comb_layer\.', '.dim_fuse.gate.'),
    (r'\.cbr\.', '.'),
)
_ESPNETV2: Names = (
    (r'^level1\.', 'backbone.stem.'),
    *((rf'^level5\.{unit}\.', f'backbone.last.{index}.') for index, unit in enumerate((3, 4))),
    *((rf'^level{stage + 1}_0\.', f'backbone.stage{stage}.0.') for stage in (1, 2, 3, 4)),
    # the units of stride 1, of which each part but the activation is in our block's `eesp`
    *((rf'^level{stage + 1}\.{unit}\.(?!module_act)', f'backbone.stage{stage}.{unit + 1}.eesp.')
      for stage in (2, 3, 4) for unit in range(espnetv2.DEPTHS[stage - 1])),
    *((rf'^level{stage + 1}\.{unit}\.module_act\.', f'backbone.stage{stage}.{unit + 1}.act.')
      for stage in (2, 3, 4) for unit in range(espnetv2.DEPTHS[stage - 1])),
    (r'\.proj_1x1\.', '.reduce.'),
    (r'\.spp_dw\.(\d)\.conv\.', r'.branches.\1.'),
    (r'\.conv_1x1_exp\.', '.expand.'),
    (r'\.br_after_cat\.bn\.', '.norm_act.0.'),
    (r'\.br_after_cat\.act\.', '.norm_act.1.'),
    (r'\.inp_reinf\.', '.shortcut.'),
    (r'\.conv\.', '.0.'),
    (r'\.bn\.', '.1.'),
    (r'(backbone\.stem|reduce|shortcut\.0|last\.\d)\.act\.', r'\1.2.'),
)
_DECODER: Names = (
    *((rf'^(eff_pool_{2 ** (level + 4)}x{2 ** (level + 4)}|bu_dec_l{level + 1})\.', f'decode_head.pools.{level}.')
      for level in range(4)),
    *((rf'^(proj_enc_{2 ** (level + 5)}x{2 ** (level + 5)}|merge_enc_dec_l{level + 2})\.',
       f'decode_head.skips.{level}.') for level in range(3)),
    *((rf'^bu_br_({2 ** (level + 5)}x{2 ** (level + 5)}|l{level + 2})\.', f'decode_head.joins.{level}.')
      for level in range(3)),
    (r'\.projection_layer\.cbr\.', '.project.'),
    (r'\.stages\.', '.branches.'),
    (r'\.merge_layer\.0\.br\.', '.norm_act.'),
    (r'\.merge_layer\.2\.cbr\.', '.merge.'),
    (r'(decode_head\.pools\.[012]|neck\.pools\.\d)\.merge_layer\.3\.', r'\1.out.0.'),
    (r'\.merge_layer\.3\.', '.out.'),
    (r'\.br\.br\.0\.', '.out.1.'),
    (r'\.br\.br\.1\.', '.out.2.'),
    (r'\.expansion_layer\.cbr\.', '.expand.'),
    (r'\.wt_layer\.', '.gate.'),
)
_DETECTOR: Names = (  # with the pools that it shares with the decoder
    *((rf'^extra_level{index + 6}\.layer\.(\d)\.cbr\.', rf'neck.extra_layers.{index}.\1.') for index in range(2)),
    (r'^extra_level8\.', 'neck.extra_layers.2.'),
    *((rf'^bu_{sides}\.', f'neck.pools.{index}.')
      for index, sides in enumerate(('3x3_5x5', '5x5_10x10', '10x10_19x19', '19x19_38x38'))),
    (r'^loc_layers\.', 'bbox_head.reg_convs.'),
    (r'^cls_layers\.', 'bbox_head.cls_convs.'),
)
_CLASSIFIER: Names = (  # a single layer in ESPNetv2
    (r'^classifier\.0\.', 'neck.layers.1.'),
    (r'^classifier\.(2\.)?(weight|bias)$', r'head.fc.\2'),
)
# Made and left out there: an activation of the strided units, and, in classifiers, the last stage's shortcut from the
# image, which only detectors use.
_UNUSED = re.compile(r'^level\d_0\.eesp\.module_act\.')
_UNUSED_IN_CLASSIFIERS = re.compile(rf'{_UNUSED.pattern}|^level5_0\.inp_reinf\.')


def convert_edgenets(state_dict: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict]:
    """Convert a detection, segmentation or ImageNet checkpoint of the authors.

    Args:
        state_dict: The file as loaded.

    Returns:
        The weights, with names that start with ``backbone.`` and, of a detector, ``neck.`` and ``bbox_head.``, of a
        segmentor, ``decode_head.``, of a classifier, ``neck.`` and ``head.``; and what was recognised:
        ``dict(backbone=dict(type=..., widen_factor=...), task='detection', 'segmentation', 'classification' or None,
        num_classes=classes of the head or None, left_out=[their modules that are not converted])``; for DiCENet
        ``input_size``, px, is in ``backbone``, too. A segmentor's background is one of its classes, and a detector's is
        not.

    Raises:
        UserError: If this is neither a DiCENet nor an ESPNetv2 of the authors, or not a whole one.
    """
    if any('.conv_channel.' in key for key in state_dict):
        encoder, recognise = _DICENET, _recognise_dicenet
    elif any('.spp_dw.' in key for key in state_dict):
        encoder, recognise = _ESPNETV2, _recognise_espnetv2
    else:
        raise UserError('this is not a checkpoint of the authors: there is neither a DiCE unit nor an EESP unit in it '
                        f'(its names are like {printable(next(iter(state_dict), "none"))})')
    try:
        return _converted(state_dict, encoder, recognise)
    except (KeyError, IndexError, AttributeError, RuntimeError, TypeError) as error:  # of parts that are not as theirs
        raise UserError('this is not a whole checkpoint of the authors: a part is missing or of another shape '
                        f'({printable(error)})') from error


def _converted(state_dict: dict[str, Tensor], encoder: Names, recognise: Callable) -> tuple[dict[str, Tensor], dict]:
    unused = _UNUSED if any('cls_layers.' in key for key in state_dict) else _UNUSED_IN_CLASSIFIERS
    weights, left_out = {}, set()
    for key, value in state_dict.items():
        key = re.sub(r'^(module\.)?(base_net\.)?(basenet\.)?', '', key)
        if unused.match(key):
            continue
        name = _rename(key, encoder if key.startswith('level') else (*_DETECTOR, *_DECODER, *_CLASSIFIER))
        if name.startswith(('neck.', 'head.', 'bbox_head.')):
            weights[name] = _reshaped(name, value)
        elif name.startswith(('backbone.', 'decode_head.')):
            weights[name] = _reordered(name, value) if encoder is _DICENET else value
        else:
            left_out.add(key.split('.')[0])
    return weights, dict(backbone=recognise(weights), **_recognise_task(weights), left_out=sorted(left_out))


def _rename(key: str, names: Names) -> str:
    for pattern, replacement in names:
        key = re.sub(pattern, replacement, key)
    return key


def _reordered(name: str, value: Tensor) -> Tensor:
    """DiCENet's kernels without a channel axis, the width kernel's axes swapped, 3D channels interleaved."""
    if '.dim_conv.' in name:
        value = value[:, 0]
        return value.transpose(1, 2).contiguous() if name.endswith('width_weight') else value
    if re.search(r'\.(norm|act)\.', name) and value.dim() == 1:
        return value.view(3, -1).t().flatten()
    return value


def _reshaped(name: str, value: Tensor) -> Tensor:
    """Of a classifier, whose layers may be linear or 1x1 convolutions: the neck's a convolution, the head's linear.

    Of a detector, whose background is the first class there and the last one here.
    """
    if name.startswith('bbox_head.cls_convs.'):
        return value.unflatten(0, (BOXES, -1)).roll(-1, dims=1).flatten(0, 1)
    if name == 'neck.layers.1.weight':
        return value.reshape(*value.shape[:2], 1, 1)
    return value.flatten(1) if name == 'head.fc.weight' else value


def _recognise_task(weights: dict[str, Tensor]) -> dict:
    if 'bbox_head.cls_convs.0.weight' in weights:
        return dict(task='detection', num_classes=len(weights['bbox_head.cls_convs.0.weight']) // BOXES - 1)
    if 'decode_head.pools.3.out.weight' in weights:
        return dict(task='segmentation', num_classes=len(weights['decode_head.pools.3.out.weight']))
    if 'head.fc.weight' in weights:
        return dict(task='classification', num_classes=len(weights['head.fc.weight']))
    return dict(task=None, num_classes=None)


def _recognise_dicenet(weights: dict[str, Tensor]) -> dict:
    stem = weights['backbone.stem.0.weight'].shape[0]
    # the first stride-1 block lets as many channels pass as the stem has; the others are its unit's
    stage1 = stem + weights['backbone.stage1.1.branch.1.dim_conv.depth_weight'].shape[0]
    kernels = weights['backbone.stage1.0.right.1.dim_conv.height_weight'].shape[0]
    return dict(type='DiCENet', widen_factor=_width(dicenet.WIDTHS, stem, stage1), input_size=8 * kernels)


def _recognise_espnetv2(weights: dict[str, Tensor]) -> dict:
    stem, stage1 = weights['backbone.stem.0.weight'].shape[0], weights['backbone.stage1.0.act.weight'].shape[0]
    return dict(type='ESPNetv2', widen_factor=_width(espnetv2.WIDTHS, stem, stage1))


def _width(known: dict[float, tuple[int, ...]], stem: int, stage1: int) -> float:
    for factor, widths in known.items():
        if widths[:2] == (stem, stage1):
            return factor
    raise UserError(f'a network with {stem} channels in the stem and {stage1} in stage 1 is none of the known widths')
