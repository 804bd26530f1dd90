"""The authors' checkpoints: every weight has a place, and the right one."""
import numpy as np
import pytest
import torch

import dicenet_mm
from dicenet_mm.edgenets import convert_edgenets
from dicenet_mm.errors import UserError
from dicenet_mm.models.backbones import DiCENet, ESPNetv2
from dicenet_mm.models.segmentors import ESPNetv2Segmentor
from tests.authors import unit_state

FILES = {'dicenet_s_0.5_city_1024x512': 0.5, 'dicenet_s_0.5_pascal_256x256': 0.5, 'dicenet_s_1.0_pascal_256x256': 1.0,
         'dicenet_s_1.0_pascal_384x384': 1.0, 'dicenet_s_1.75_pascal_384x384': 1.75,
         'espnetv2_s_0.5_pascal_256x256': 0.5, 'espnetv2_s_2.0_pascal_384x384': 2.0}
ENCODERS = [name for name in FILES if name.startswith('dicenet')]
VOC = [name for name in FILES if 'pascal' in name]


def read(shared, name):
    return torch.load(shared / f'weights/edgenets/{name}.pth', map_location='cpu')


def segmentor(meta):
    return ESPNetv2Segmentor(dict(meta['backbone'], out_indices=(0, 1, 2, 3)),
                             dict(type='ESPNetv2Head', num_classes=meta['num_classes']))


def encoder(weights):
    return {key.removeprefix('backbone.'): value for key, value in weights.items() if key.startswith('backbone.')}


@pytest.mark.parametrize('name', FILES)
def test_whole_networks(shared, name):
    weights, meta = convert_edgenets(read(shared, name))
    kind = 'DiCENet' if name.startswith('dicenet') else 'ESPNetv2'
    assert meta['backbone']['type'] == kind and meta['backbone']['widen_factor'] == FILES[name]
    assert meta['num_classes'] == (21 if 'pascal' in name else 20) and meta['left_out'] == []
    assert meta['backbone'].get('input_size', 224) == 224
    segmentor(meta).load_state_dict(weights)  # strict: all of them, and of the right shapes


@pytest.mark.parametrize('name', VOC)
def test_outputs_of_the_authors(shared, name):
    """The references hold every eighth logit of the enlarged map."""
    weights, meta = convert_edgenets(read(shared, name))
    model = segmentor(meta).eval()
    model.load_state_dict(weights)
    reference = np.load(shared / f'reference/seg_{name.rpartition("x")[0]}.npz')
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    images = {key.split('/')[0] for key in reference}
    assert len(images) == 3
    for image in images:
        pixels = torch.from_numpy(reference[f'{image}/image'])
        x = ((pixels / 255 - mean) / std).permute(2, 0, 1)[None]
        with torch.no_grad():
            logits = torch.nn.functional.interpolate(model(x, None, mode='tensor'), x.shape[2:], mode='bilinear',
                                                     align_corners=True)[0]
        expected = reference[f'{image}/logits']
        assert np.abs(logits[:, ::8, ::8].numpy() - expected).max() <= 1e-4 * np.ptp(expected)
        assert (logits.argmax(0).numpy() == reference[f'{image}/argmax']).mean() >= 0.9999


@torch.no_grad()
@pytest.mark.parametrize('name', ENCODERS)
def test_fused_in_half(shared, name):
    """The knees of trained units do not fit into half."""
    weights, meta = convert_edgenets(read(shared, name))
    model = segmentor(meta).eval()
    model.load_state_dict(weights)
    x = torch.randn(1, 3, 64, 96)
    expected = model(x, None, mode='tensor')
    for fused in dicenet_mm.fuse(model).half(), dicenet_mm.fuse(model.half()):
        y = fused(x.half(), None, mode='tensor')
        assert y.dtype == torch.float16
        # weights cast before fusing carry the rounding of each layer
        assert (y - expected).abs().max() <= 0.01 * expected.abs().max()


@pytest.mark.parametrize('name', ENCODERS)
def test_encoder(shared, name):
    state, width = read(shared, name), FILES[name]
    model = DiCENet(width, out_indices=(0, 1, 2, 3)).eval()
    model.load_state_dict(encoder(convert_edgenets(state)[0]))
    for level, stage in (('level3', model.stage1), ('level4', model.stage2)):
        for index in (0, 3):
            branch = 'right_layer' if index == 0 else 'layer_right'
            mine = (stage[0].right if index == 0 else stage[index].branch)[1].state_dict()
            for key, value in unit_state(state, f'base_net.{level}.{index}.{branch}.1.').items():
                assert torch.equal(mine[key], value), key
    assert torch.equal(model.stem[0].weight, state['base_net.level1.cbr.0.weight'])
    assert torch.equal(model.stage2[0].left[1][1].running_var,
                       state['base_net.level4.0.left_layer.1.cbr.1.running_var'])
    assert torch.equal(model.stage1[2].branch[0][2].weight, state['base_net.level3.2.layer_right.0.cbr.2.weight'])
    assert all(out.isfinite().all() for out in model(torch.rand(1, 3, 100, 130)))


def imagenet_state(model):
    """What the authors' ImageNet file of a model would hold: their names, made from ours backwards."""
    out = {}
    for key, value in model.state_dict().items():
        for mine, theirs in (('stem.', 'level1.cbr.'), ('stage1.', 'level3.'), ('stage2.', 'level4.'),
                             ('stage3.', 'level5.')):
            if key.startswith(mine):
                key = theirs + key[len(mine):]
        for mine, theirs in (('.left.0.', '.left_layer.0.cbr.'), ('.left.1.', '.left_layer.1.cbr.'),
                             ('.right.2.', '.right_layer.2.cbr.'), ('.right.1.', '.right_layer.1.'),
                             ('.branch.0.', '.layer_right.0.cbr.'), ('.branch.1.', '.layer_right.1.'),
                             ('dim_conv.depth_weight', 'conv_channel.weight'),
                             ('dim_conv.height_weight', 'conv_height.weight'),
                             ('dim_conv.width_weight', 'conv_width.weight'),
                             ('dim_fuse.local.', 'weight_avg_layer.cbr.'),
                             ('dim_fuse.spatial.', 'proj_layer.cbr.'), ('dim_fuse.gate.', 'linear_comb_layer.')):
            key = key.replace(mine, theirs)
        if 'conv_' in key and value.dim() == 3:
            value = (value.transpose(1, 2) if 'conv_width' in key else value).unsqueeze(1)
        for mine, theirs in (('.norm.', '.br_act.br.0.'), ('.act.', '.br_act.br.1.')):
            if mine in key:
                key = key.replace(mine, theirs)
                value = value.view(-1, 3).t().flatten() if value.dim() else value
        out[key] = value
    return out


@pytest.mark.parametrize('width', [0.1, 2.4])
def test_imagenet_layout(width):
    model = DiCENet(width)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    weights, meta = convert_edgenets(imagenet_state(model))
    assert meta == dict(backbone=dict(type='DiCENet', widen_factor=width, input_size=224), task=None, num_classes=None,
                        left_out=[])
    expected = model.state_dict()
    assert encoder(weights).keys() == expected.keys()
    for key, value in encoder(weights).items():
        assert torch.equal(value, expected[key]), key


def espnetv2_state(model):
    """What the authors' ImageNet file of a model would hold: their names, made from ours backwards."""
    out = {}
    for key, value in model.state_dict().items():
        level, *rest = key.split('.')
        if level == 'stem':
            level = 'level1'
        elif level == 'last':
            level, rest = 'level5', [str(int(rest[0]) + 3), *rest[1:]]
        else:
            index = int(rest[0])
            level = f'level{int(level[-1]) + 1}'
            if index == 0:
                level, rest = f'{level}_0', rest[1:]
            else:
                rest = [str(index - 1), *(part for part in rest[1:] if part != 'eesp')]
                rest = ['module_act' if part == 'act' else part for part in rest]
        theirs = '.'.join([level, *rest])
        for mine, name in (('norm_act.0.', 'br_after_cat.bn.'), ('norm_act.1.', 'br_after_cat.act.')):
            theirs = theirs.replace(mine, name)
        for mine, name in (('reduce', 'proj_1x1'), ('branches', 'spp_dw'), ('expand', 'conv_1x1_exp'),
                           ('shortcut', 'inp_reinf')):
            theirs = theirs.replace(mine, name)
        *path, part, kind = theirs.split('.')
        if path and path[-1] == 'spp_dw':
            path.append(part)
            part = 'conv'
        elif part in '012':
            part = ('conv', 'bn', 'act')[int(part)]
        out['.'.join([*path, part, kind])] = value
    for level in (2, 3, 4, 5):  # made by every strided unit, and used by none
        out[f'level{level}_0.eesp.module_act.weight'] = torch.zeros(1)
    out['level5_0.inp_reinf.0.conv.weight'] = torch.zeros(3, 3, 3, 3)  # made too, and used by detectors alone
    return out


@pytest.mark.parametrize('width', [0.5, 2.0])
@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_imagenet_layout_of_espnetv2(width, prefix):
    model = ESPNetv2(width, out_indices=(5,))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    weights, meta = convert_edgenets({prefix + key: value for key, value in espnetv2_state(model).items()})
    assert meta == dict(backbone=dict(type='ESPNetv2', widen_factor=width), task=None, num_classes=None,
                        left_out=[])
    expected = model.state_dict()
    assert encoder(weights).keys() == expected.keys()
    for key, value in encoder(weights).items():
        assert torch.equal(value, expected[key]), key


def test_espnetv2_of_cityscapes(shared):
    """There is no such file at hand: the VOC one with 20 outputs has its keys and shapes."""
    state = read(shared, 'espnetv2_s_0.5_pascal_256x256')
    for kind in ('weight', 'bias'):
        state[f'bu_dec_l4.merge_layer.3.{kind}'] = state[f'bu_dec_l4.merge_layer.3.{kind}'][:20]
    weights, meta = convert_edgenets(state)
    assert meta['num_classes'] == 20
    segmentor(meta).load_state_dict(weights)


def test_refuses_other_files():
    with pytest.raises(UserError, match=r'not a checkpoint of the authors: .* \(its names are like conv1.weight\)'):
        convert_edgenets({'conv1.weight': torch.zeros(1)})
    with pytest.raises(UserError, match='a network with 5 channels in the stem and 9 in stage 1 is none of the known'):
        convert_edgenets({'level1.conv.weight': torch.zeros(5, 3, 3, 3), 'level2_0.act.weight': torch.zeros(9),
                          'level2_0.eesp.spp_dw.0.conv.weight': torch.zeros(1)})
