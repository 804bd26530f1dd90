"""The authors' checkpoints: every weight of the encoder has a place, and the right one."""
import pytest
import torch

from dicenet_mm.edgenets import convert_dicenet
from dicenet_mm.errors import UserError
from dicenet_mm.models.backbones import DiCENet
from tests.authors import unit_state

FILES = {'dicenet_s_0.5_city_1024x512': 0.5, 'dicenet_s_0.5_pascal_256x256': 0.5, 'dicenet_s_1.0_pascal_256x256': 1.0,
         'dicenet_s_1.0_pascal_384x384': 1.0, 'dicenet_s_1.75_pascal_384x384': 1.75}


@pytest.fixture(params=FILES)
def authors(request, shared):
    return torch.load(shared / f'weights/edgenets/{request.param}.pth', map_location='cpu'), FILES[request.param]


def encoder(weights):
    return {key.removeprefix('backbone.'): value for key, value in weights.items()}


def test_encoder(authors):
    state, width = authors
    weights, meta = convert_dicenet(state)
    assert meta['widen_factor'] == width and meta['input_size'] == 224 and len(meta['left_out']) > 5
    model = DiCENet(width, out_indices=(0, 1, 2, 3)).eval()
    model.load_state_dict(encoder(weights))  # strict: all of them, and of the right shapes
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
    out['classifier.0.weight'] = torch.zeros(1)
    out['classifier.2.bias'] = torch.zeros(1)
    return out


@pytest.mark.parametrize('width', [0.1, 2.4])
def test_imagenet_layout(width):
    model = DiCENet(width)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    weights, meta = convert_dicenet(imagenet_state(model))
    assert meta == dict(widen_factor=width, input_size=224, left_out=['classifier'])
    expected = model.state_dict()
    assert encoder(weights).keys() == expected.keys()
    for key, value in encoder(weights).items():
        assert torch.equal(value, expected[key]), key


def test_refuses_other_files(shared):
    state = torch.load(shared / 'weights/edgenets/espnetv2_s_0.5_pascal_256x256.pth', map_location='cpu')
    with pytest.raises(UserError, match='not a DiCENet checkpoint'):
        convert_dicenet(state)
