"""The authors' checkpoints (EdgeNets) in this toolkit's parameter names."""
import re

from torch import Tensor

from dicenet_mm.errors import UserError
from dicenet_mm.models.backbones.dicenet import WIDTHS

# Theirs -> ours, in the order of application. A CBR is `cbr.0-2` with them: convolution, normalisation, activation.
_NAMES = [(re.compile(pattern), name) for pattern, name in (
    (r'^(base_net\.)?level1\.', 'stem.'),
    (r'^(base_net\.)?level([345])\.', lambda match: f'stage{int(match[2]) - 2}.'),
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
)]


def convert_dicenet(state_dict: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict]:
    """Convert the encoder of a segmentation or ImageNet checkpoint.

    Args:
        state_dict: The authors' file as loaded.

    Returns:
        The weights, with names that start with ``backbone.``, and what was recognised:
        ``dict(widen_factor=..., input_size=px, left_out=[their modules that are not of the encoder])``.

    Raises:
        UserError: If this is not a DiCENet of the authors.
    """
    if not any('.conv_channel.' in key for key in state_dict):
        raise UserError('this is not a DiCENet checkpoint of the authors: there is no DiCE unit in it')
    weights, left_out = {}, set()
    for key, value in state_dict.items():
        if not re.match(r'(base_net\.)?level[1345]\.', key):
            left_out.add(key.split('.')[0])
            continue
        name = key
        for pattern, replacement in _NAMES:
            name = pattern.sub(replacement, name)
        weights[f'backbone.{name}'] = _reordered(name, value)
    return weights, dict(**_recognise(weights), left_out=sorted(left_out))


def _reordered(name: str, value: Tensor) -> Tensor:
    """Kernels without a channel axis, the width kernel's axes swapped, 3D channels interleaved."""
    if '.dim_conv.' in name:
        value = value[:, 0]
        return value.transpose(1, 2).contiguous() if name.endswith('width_weight') else value
    if re.search(r'\.(norm|act)\.', name) and value.dim() == 1:
        return value.view(3, -1).t().flatten()
    return value


def _recognise(weights: dict[str, Tensor]) -> dict:
    stem = weights['backbone.stem.0.weight'].shape[0]
    # the first stride-1 block lets as many channels pass as the stem has; the others are its unit's
    stage1 = stem + weights['backbone.stage1.1.branch.1.dim_conv.depth_weight'].shape[0]
    kernels = weights['backbone.stage1.0.right.1.dim_conv.height_weight'].shape[0]
    for factor, widths in WIDTHS.items():
        if widths[:2] == (stem, stage1):
            return dict(widen_factor=factor, input_size=8 * kernels)
    raise UserError(f'a DiCENet with {stem} channels in the stem and {stage1} in stage 1 is none of the known widths')
