"""ESPNetv2-SSD: the authors' outputs, multiply-adds, training, and the fused form."""
import copy
import json

import cv2
import numpy as np
import pytest
import torch
from mmdet.datasets import CocoDataset, VOCDataset
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from dicenet_mm import fuse
from dicenet_mm.analysis import complexity, image_shape
from dicenet_mm.edgenets import convert_edgenets
from dicenet_mm.errors import UserError
from tests.data import scene
from tests.models.detectors.test_ssd import batch
from tests.tools.test_commands import command


def config(size=300, data='voc0712', width=0.5):
    cfg = Config.fromfile(f'configs/ssd_espnetv2_{size}_{data}.py')
    init_default_scope('mmdet')
    cfg.model.backbone.widen_factor = width
    return cfg


@pytest.fixture(scope='module')
def reference(shared):
    """What the authors' code gives with made weights (s = 0.5, 21 classes), and these weights."""
    file = np.load(shared / 'reference/ssd_espnetv2_s0.5.npz')
    state = {key.removeprefix('state/'): torch.from_numpy(file[key]) for key in file if key.startswith('state/')}
    return file, state


@pytest.mark.parametrize('size', [300, 512])
def test_outputs_of_the_authors(reference, size):
    file, state = reference
    model = MODELS.build(config(size).model).eval()
    weights, meta = convert_edgenets(state)
    assert meta == dict(backbone=dict(type='ESPNetv2', widen_factor=0.5), task='detection', num_classes=20, left_out=[])
    model.load_state_dict(weights)  # strict: all of them, and of the right shapes
    image = torch.from_numpy(np.ascontiguousarray(file[f'{size}/image'][..., ::-1])).permute(2, 0, 1)
    x = model.data_preprocessor(dict(inputs=[image]))['inputs']
    every = int(file['512/every']) if size == 512 else 1
    for network in (model, fuse(model)):
        with torch.no_grad():
            scores, locations = (
                torch.cat([map.permute(0, 2, 3, 1).reshape(-1, width) for map in maps])
                for maps, width in zip(network(x, None, mode='tensor'), (21, 4)))
        sides = [(side, side) for side in ((38, 19, 10, 5, 3, 1) if size == 300 else (64, 32, 16, 8, 4, 1))]
        priors = torch.cat(model.bbox_head.prior_generator.grid_priors(sides, device='cpu'))
        boxes = model.bbox_head.bbox_coder.decode(priors, locations)
        centred = torch.cat(((priors[:, :2] + priors[:, 2:]) / 2, priors[:, 2:] - priors[:, :2]), 1)
        scores = torch.cat((scores[:, -1:], scores[:, :-1]), 1)  # background is the last class here, the first there
        for name, ours, step in (('priors', centred / size, 1), ('confidences', scores, every),
                                 ('locations', locations, every), ('boxes', boxes / size, every)):
            np.testing.assert_allclose(ours[::step].numpy(), file[f'{size}/{name}'].reshape(-1, ours.shape[1]),
                                       rtol=0, atol=1e-4, err_msg=name)


@pytest.mark.parametrize('size,data,macs', [(300, 'voc0712', 0.913), (512, 'voc0712', 2.520), (300, 'coco', 1.165),
                                            (512, 'coco', 3.218)])
def test_multiply_adds_of_the_authors(size, data, macs):
    cfg = config(size, data, width=2.0)
    assert round(complexity(cfg, image_shape(cfg))['total']['macs'] / 1e9, 3) == macs


def test_learns_and_predicts():
    """From a batch of one image on: its last level has no normalisation."""
    model = MODELS.build(config().model)
    model.init_weights()
    inputs, samples = batch(model, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    losses = []
    for _ in range(12):
        loss = sum(value for terms in model.loss(inputs, copy.deepcopy(samples)).values() for value in terms)
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None for p in model.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    found = model.eval().predict(inputs, samples)[0].pred_instances
    assert 0 < len(found) <= 200 and (found.scores >= 0.01).all() and (found.labels < 20).all()
    assert (found.bboxes >= 0).all() and (found.bboxes <= 300).all()


def test_second_stage_freezes_every_batch_normalisation():
    model = MODELS.build(config(512).model).train()
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms and not any(m.training for m in norms) and model.training


def authors_file(reference, data):
    """Their file of 300 px with 20 or 80 classes, of which it is sure to find the third in any image."""
    state = {key: value.clone() for key, value in reference[1].items()}
    classes = dict(pascal=21, coco=81)[data]
    for level in range(6):
        weight = state[f'cls_layers.{level}.weight']
        state[f'cls_layers.{level}.weight'] = torch.zeros(6 * classes, *weight.shape[1:])
        bias = torch.zeros(6, classes)
        bias[:, 3] = 10.  # of 1 to 20 or 80; background is 0
        state[f'cls_layers.{level}.bias'] = bias.flatten()
    return state


@pytest.mark.parametrize('data,names,config', [('pascal', VOCDataset.METAINFO['classes'], 'ssd_espnetv2_300_voc0712'),
                                               ('coco', CocoDataset.METAINFO['classes'], 'ssd_espnetv2_300_coco')])
def test_from_their_file_to_labels(reference, data, names, config, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.save(authors_file(reference, data), f'espnetv2_s_0.5_{data}_300x300.pth')
    command('convert_edgenets.py', f'espnetv2_s_0.5_{data}_300x300.pth', 'ours.pth')
    assert f'ESPNetv2 with widen_factor=0.5, for configs/{config}.py' in capsys.readouterr().out
    cv2.imwrite('a.png', scene(0)[0])
    command('demo.py', 'a.png', '--weights', 'ours.pth', '--device', 'cpu')
    with open('outputs/predictions.json') as file:
        entry, = json.load(file)
    assert {found['label'] for found in entry['detections']} == {names[2]}


def test_512_is_told_by_the_name_of_the_file(reference, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.save(reference[1], 'espnetv2_s_0.5_pascal_512x512.pth')
    command('convert_edgenets.py', 'espnetv2_s_0.5_pascal_512x512.pth', 'ours.pth')
    assert 'for configs/ssd_espnetv2_512_voc0712.py' in capsys.readouterr().out


def test_a_detector_of_other_classes_is_converted_without_a_configuration(reference):
    from dicenet_mm.zoo import edgenets_checkpoint
    state = {key: value[:6 * 8] if key.startswith('cls_layers') else value for key, value in reference[1].items()}
    meta = edgenets_checkpoint(state, 'theirs.pth')['meta']
    assert meta['num_classes'] == 7 and 'network' not in meta
    with pytest.raises(UserError, match='not a checkpoint of the authors'):
        edgenets_checkpoint({'conv.weight': torch.zeros(1)}, 'theirs.pth')
