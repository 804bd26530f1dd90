"""Published weights by name, wherever a checkpoint is taken."""
import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import load_checkpoint

from dicenet_mm.apis import Inferencer, find_model, read_checkpoint, read_pretrained
from dicenet_mm.errors import UserError
from dicenet_mm.models.backbones import DiCENet
from dicenet_mm.zoo import find_zoo_model, index, is_zoo_name, zoo_models
from tests.data import scene
from tests.test_edgenets import imagenet_state
from tests.tools.test_commands import command

NAME, FILE = 'edgenets/dicenet-0.5-voc-256', 'dicenet_s_0.5_pascal_256x256.pth'
IMAGENET = 'edgenets/dicenet-0.2-imagenet'


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, in a folder to work in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('DICENET_MM_CACHE', str(tmp_path / 'cache'))
    (tmp_path / 'cache').mkdir()
    return tmp_path / 'cache'


def publish(monkeypatch, name, **changed):
    monkeypatch.setattr(index, 'zoo_models', lambda: {name: replace(zoo_models()[name], **changed)})


def test_the_demo_fetches_converts_and_draws(shared, cache, monkeypatch, capsys):
    pytest.importorskip('trustme')
    from tests.zoo.server import Server
    server = Server(cache)
    monkeypatch.setenv('SSL_CERT_FILE', server.certificate)
    server.files['w.pth'] = (shared / 'weights/edgenets' / FILE).read_bytes()
    publish(monkeypatch, NAME, weights=server.url('w.pth'))
    cv2.imwrite('a.png', scene(0)[0])
    command('demo.py', 'a.png', '--model', NAME, '--device', 'cpu')
    printed = capsys.readouterr()
    assert f'fetching {NAME}' in printed.err and f'{NAME}: 1 predictions' in printed.out
    assert Path('outputs/a.jpg').is_file() and 'segments' in json.loads(Path('outputs/predictions.json').read_text())[0]
    server.shutdown()
    server.server_close()
    command('demo.py', 'a.png', '--model', NAME, '--device', 'cpu', '--overwrite')  # from the cache
    assert 'fetching' not in capsys.readouterr().err


def test_it_is_the_converted_file(shared, cache):
    shutil.copy(shared / 'weights/edgenets' / FILE, cache)
    command('convert_edgenets.py', cache / FILE, 'converted.pth')
    image = cv2.resize(scene(0)[0], (256, 256))
    named, converted = (Inferencer(weights, device='cpu').predict([image])[0] for weights in (NAME, 'converted.pth'))
    assert torch.equal(named.seg_logits.data, converted.seg_logits.data)


@pytest.fixture
def imagenet(cache, monkeypatch):
    """The authors' ImageNet file of a small network, put into the cache by hand."""
    model = DiCENet(0.2)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    file = cache / find_zoo_model(IMAGENET).file_name
    torch.save({key: value.detach() for key, value in imagenet_state(model).items()}, file)
    content = file.read_bytes()
    publish(monkeypatch, IMAGENET, git_sha1=hashlib.sha1(b'blob %d\0' % len(content) + content).hexdigest())
    return model


def test_a_backbone_starts_from_it(imagenet):
    init = dict(type='Pretrained', checkpoint=IMAGENET, prefix='backbone.')
    backbone = DiCENet(0.2, init_cfg=init)
    backbone.init_weights()
    assert all(torch.equal(mine, other) for mine, other in zip(backbone.parameters(), imagenet.parameters()))
    cfg = Config(dict(model=dict(backbone=dict(type='DiCENet', init_cfg=init))))
    assert torch.equal(read_pretrained(cfg)['backbone.stem.0.weight'], imagenet.stem[0].weight)


def test_a_whole_model_starts_from_it(imagenet):
    """``load_from`` of a configuration comes to this function of mmengine's."""
    model = torch.nn.Module()
    model.backbone = DiCENet(0.2)
    load_checkpoint(model, IMAGENET)
    assert all(torch.equal(mine, other) for mine, other in zip(model.backbone.parameters(), imagenet.parameters()))


def test_a_file_of_that_name_does_not_take_its_place(cache):
    """Whatever lies in the folder that one works in."""
    Path('edgenets').mkdir()
    torch.save(dict(other=torch.zeros(1)), NAME)
    (cache / FILE).write_bytes(b'not theirs')
    with pytest.raises(UserError, match=rf'{FILE} is not the file of {NAME} \(it has 10 bytes, not 482934\)'):
        read_checkpoint(NAME)


def test_what_is_a_name(cache):
    assert is_zoo_name(NAME) and is_zoo_name('edgenets/no-such')
    assert not any(map(is_zoo_name, ('work_dirs/a.pth', 'https://a/edgenets/b.pth', 'nothing', 'a/edgenets/b')))
    with pytest.raises(UserError, match='no published weights edgenets/dicenet-0.5-voc-255: did you mean'):
        read_checkpoint('edgenets/dicenet-0.5-voc-255')
    assert find_model(NAME) == NAME
    with pytest.raises(UserError, match='no trained model dicenet; .* none. "dicenet_mm models" lists published'):
        find_model('dicenet')


def test_the_demo_lists_them(cache, capsys):
    command('demo.py', '--model', 'list')
    shown = capsys.readouterr().out
    assert 'in work_dirs: none' in shown and all(name in shown for name in zoo_models())
