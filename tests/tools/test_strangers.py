"""A stranger's checkpoint, given to every command in every way: data, or refused in a sentence; nothing in it runs."""
import os
import shutil

import cv2
import pytest
import torch

from tests.checkpoint.strange import Reduced
from tests.data import make_voc, scene

from .test_commands import CONFIG, SMALL, command


@pytest.fixture(scope='module')
def original(tmp_path_factory):
    """A folder with VOC data and an SSD that was trained on it for one epoch."""
    folder = tmp_path_factory.mktemp('voc')
    make_voc(folder / 'data/VOCdevkit', dict(trainval=4, test=2), years=('VOC2007', 'VOC2012'))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        command('train.py', CONFIG, '--cfg-options', 'train_cfg.max_epochs=1', 'train_cfg.val_interval=1', *SMALL,
                '--work-dir', 'work_dirs/own')
        cv2.imwrite('photo.jpg', scene(0)[0])
    return folder


@pytest.fixture
def folder(original, tmp_path, monkeypatch):
    """A copy of it, in which ``strange.pth`` is put."""
    here = shutil.copytree(original, tmp_path / 'here')
    monkeypatch.chdir(here)
    return here


def checkpoint():
    return torch.load('work_dirs/own/epoch_1.pth', weights_only=True)


def ran(folder):
    return (folder / 'ran').exists()


def train(*options):
    return ['train.py', CONFIG, '--cfg-options', 'train_cfg.max_epochs=2', 'train_cfg.val_interval=1', *SMALL, *options]


PRETRAINED = ['model.backbone.init_cfg.type=Pretrained', 'model.backbone.init_cfg.prefix=backbone.']
WAYS = {
    'load_from': lambda file: train(f'load_from={file}'),
    'resume': lambda file: [*train(), '--resume', file],
    'init_cfg': lambda file: train(*PRETRAINED, f'model.backbone.init_cfg.checkpoint={file}'),
    'neck init_cfg': lambda file: train(
        'model.neck.init_cfg.type=Pretrained', f'model.neck.init_cfg.checkpoint={file}'),
    'test': lambda file: ['test.py', CONFIG, file, '--cfg-options', *SMALL],
    'demo': lambda file: ['demo.py', 'photo.jpg', '--weights', file, '--device', 'cpu'],
    'demo --config': lambda file: ['demo.py', 'photo.jpg', '--weights', file, '--config', CONFIG, '--device', 'cpu'],
    'demo --trust': lambda file: ['demo.py', 'photo.jpg', '--weights', file, '--trust', '--device', 'cpu'],
    'convert': lambda file: ['convert_edgenets.py', file, 'converted.pth'],
}


@pytest.mark.parametrize('way,where', [*((way, 'file') for way in WAYS), *((way, 'address') for way in (
    'load_from', 'resume', 'init_cfg', 'neck init_cfg', 'test', 'demo'))])
def test_code_in_a_pickle(way, where, folder, monkeypatch):
    """Row 1, and every other way in."""
    torch.save(dict(checkpoint(), more=Reduced(os.system, f'touch {folder / "ran"}')), 'strange.pth')
    name = 'strange.pth'
    if where == 'address':
        def fetch(address, target, *args, **kwargs):
            shutil.copy('strange.pth', target)
        monkeypatch.setattr('torch.hub.download_url_to_file', fetch)
        monkeypatch.setattr('torch.hub.get_dir', lambda: str(folder / 'cache'))
        name = 'https://example.com/strange.pth'
    with pytest.raises(SystemExit) as stopped:
        command(*WAYS[way](name))
    assert stopped.value.code.startswith('error: ')
    assert 'cannot be read as a checkpoint: it names posix.system' in stopped.value.code
    assert not ran(folder)


def test_the_text_of_a_configuration(folder):
    """Row 2: run only where --trust is typed."""
    made = checkpoint()
    del made['meta']['network']
    text = made['meta']['cfg']
    made['meta']['cfg'] = f'{text}\nmade = __import__("os").system("touch {folder}/ran")'
    torch.save(made, 'strange.pth')
    demo = ['demo.py', 'photo.jpg', '--weights', 'strange.pth', '--device', 'cpu']
    with pytest.raises(SystemExit) as stopped:
        command(*demo)
    assert stopped.value.code == (
        'error: strange.pth carries its configuration only as Python code, which is not run: give the configuration '
        'with --config, or --trust if you know who made the file')
    assert not ran(folder)
    command(*demo, '--trust')
    assert ran(folder) and (folder / 'outputs/photo.jpg').exists()


@pytest.mark.parametrize('part,value', [
    ('model', dict(type='subprocess.getoutput', cmd='touch ran')),
    ('visualizer', dict(type='subprocess.getoutput', cmd='touch ran')),
    ('pipeline', [dict(type='subprocess.getoutput', cmd='touch ran')]),
])
@pytest.mark.parametrize('options', [[], ['--trust']])
def test_a_description_that_names_code(part, value, options, folder):
    """Row 3; a description is data whether or not the file is trusted."""
    made = checkpoint()
    made['meta']['network'][part] = value
    torch.save(made, 'strange.pth')
    with pytest.raises(SystemExit) as stopped:
        command('demo.py', 'photo.jpg', '--weights', 'strange.pth', '--device', 'cpu', *options)
    assert stopped.value.code.startswith(
        'error: strange.pth describes a network that is not built from a description: ')
    assert stopped.value.code.endswith('Give its configuration with --config')
    assert not ran(folder)


def test_resuming_runs_and_removes_nothing(folder):
    """Rows 4 and 5: the configuration's text, and a best checkpoint elsewhere."""
    made = checkpoint()
    made['meta']['config'] = f'import os\nos.system("touch {folder / "ran"}")'
    precious = folder / 'precious'
    precious.mkdir()
    (precious / 'work.txt').touch()
    made['message_hub']['runtime_info'].update(best_ckpt=str(precious), best_score=-1.)
    torch.save(made, 'strange.pth')
    command(*train(), '--resume', 'strange.pth', '--work-dir', 'work_dirs/new')
    assert not ran(folder) and (precious / 'work.txt').exists()
    assert [file.name for file in (folder / 'work_dirs/new').glob('best_*')] == ['best_pascal_voc_mAP_epoch_2.pth']


def test_own_checkpoints_need_nothing(folder):
    """What train.py wrote says itself what it is of, also in a file of safetensors."""
    assert checkpoint()['meta']['network']['model']['backbone']['widen_factor'] == 0.1
    command('demo.py', 'photo.jpg', '--model', 'own', '--device', 'cpu')
    assert (folder / 'outputs/photo.jpg').exists()
