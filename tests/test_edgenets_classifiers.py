"""The authors' ImageNet checkpoints with their last layers, made from ours backwards: no such file is at hand."""
import json
from pathlib import Path

import cv2
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from dicenet_mm.edgenets import convert_edgenets
from tests.data import scene
from tests.test_edgenets import espnetv2_state, imagenet_state
from tests.tools.test_commands import command

CONFIGS = dict(dicenet='configs/dicenet_imagenet_e150_b512.py',
               espnetv2='configs/baselines/espnetv2_imagenet_e150_b512.py')


def classifier(name, width):
    cfg = Config.fromfile(Path(__file__).parents[1] / CONFIGS[name])
    init_default_scope('mmpretrain')
    cfg.model.backbone.widen_factor = width
    model = MODELS.build(cfg.model)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


def authors(name, model, shape=lambda weight: weight):
    """Their names; ``shape`` gives the last layers' weights as convolutions or linear layers have them."""
    if name == 'espnetv2':
        return {**espnetv2_state(model.backbone), 'classifier.weight': model.head.fc.weight,
                'classifier.bias': model.head.fc.bias}
    return {**imagenet_state(model.backbone), 'classifier.0.weight': shape(model.neck.layers[1].weight),
            'classifier.2.weight': shape(model.head.fc.weight), 'classifier.2.bias': model.head.fc.bias}


@pytest.mark.parametrize('name,width,last', [('dicenet', 0.1, '1x1'), ('dicenet', 2.4, 'linear'),
                                             ('espnetv2', 0.5, 'linear')])
def test_the_whole_classifier(name, width, last):
    model = classifier(name, width)
    sides = (1, 1) if last == '1x1' else ()
    weights, meta = convert_edgenets(authors(name, model, lambda weight: weight.reshape(*weight.shape[:2], *sides)))
    assert meta['num_classes'] == 1000 and meta['left_out'] == []
    expected = model.state_dict()
    assert weights.keys() == expected.keys()
    for key, value in weights.items():
        assert torch.equal(value, expected[key]), key


def test_from_their_file_to_labels(tmp_path, monkeypatch, capsys):
    """A converted file carries its configuration and ImageNet's names: the demo needs nothing else."""
    monkeypatch.chdir(tmp_path)
    model = classifier('dicenet', 0.2)
    torch.save({key: value.detach() for key, value in authors('dicenet', model).items()}, 'theirs.pth')
    command('convert_edgenets.py', 'theirs.pth', 'ours.pth')
    assert 'DiCENet with widen_factor=0.2, input_size=224, for configs/dicenet_imagenet' in capsys.readouterr().out
    cv2.imwrite('a.png', scene(0)[0])
    command('demo.py', 'a.png', '--weights', 'ours.pth', '--score-thr', '0', '--device', 'cpu')
    entry, = json.loads(Path('outputs/predictions.json').read_text())
    # the pipeline of 224 px by hand: shorter side to 256, the middle, ImageNet's mean and deviation
    from PIL import Image
    from torchvision.transforms import functional
    picture = functional.resize(Image.open('a.png'), 256, functional.InterpolationMode.BILINEAR)
    x = functional.to_tensor(functional.center_crop(picture, 224))
    x = functional.normalize(x, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    with torch.no_grad():
        scores = model(x[None])[0].softmax(0)
    ours = torch.load('ours.pth', weights_only=True)['meta']['dataset_meta']['classes']
    assert [ours.index(label['label']) for label in entry['labels'][:3]] == scores.topk(3).indices.tolist()
    assert [label['score'] for label in entry['labels']] == pytest.approx(scores.topk(20).values.tolist(), abs=2e-3)
