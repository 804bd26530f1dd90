"""The commands of `make quickstart`, on few scenes; and small data of one's own, in steps instead of epochs."""
import json
from pathlib import Path

import cv2
import pytest
import torch

from dicenet_mm.checkpoint import read_checkpoint
from dicenet_mm.zoo import BUILT_IN
from tests.data import make_voc

from .test_commands import ROOT, command

ONE_PROCESS = [f'{split}_dataloader.{key}' for split in ('train', 'val', 'test')
               for key in ('num_workers=0', 'persistent_workers=False')]


def test_quickstart(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('DICENET_MM_CACHE', str(tmp_path))
    scenes = [f'{split}_dataloader.dataset.scenes.{key}' for split in ('train', 'val', 'test')
              for key in ('train=16', 'val=4')]
    options = ['--cfg-options', 'train_cfg.max_epochs=1', 'train_cfg.val_interval=1', *scenes, *ONE_PROCESS]
    config = ROOT / 'configs/quickstart.py'
    command('train.py', config, '--resume', *options)
    told = capfd.readouterr().out
    best, = Path('work_dirs/quickstart').glob('best_*.pth')
    assert told.startswith('no checkpoint in work_dirs/quickstart to resume from: training starts at the beginning\n')
    assert 'quickstart: SSD, 0.24 M parameters, on 16 images (train) + 4 images (val)\n' in told
    assert f'best checkpoint: {best} (' in told
    assert f'python {ROOT}/tools/demo.py PICTURE --weights work_dirs/quickstart/best.pth\n' in told
    assert 'System environment' not in told and 'Hooks will be' not in told and len(told.splitlines()) < 60
    log, = Path('work_dirs/quickstart').glob('*/*.log')
    assert all(part in log.read_text() for part in ('System environment', 'optim_wrapper = ', 'Hooks will be executed'))
    rows = Path('work_dirs/quickstart/metrics.csv').read_text().splitlines()
    assert rows[0].startswith('epoch,loss,lr,coco/bbox_mAP,') and len(rows) == 2 and 'zero' not in rows[0]
    command('test.py', config, 'work_dirs/quickstart', '--eval', 'mAP', '--fuse', *options)
    assert 'coco/bbox_mAP_50' in json.loads(Path('work_dirs/quickstart/metrics.json').read_text())
    command('demo.py', '--model', 'quickstart', '--out-dir', 'outputs/quickstart')
    assert len(list(Path('outputs/quickstart').glob('*.jpg'))) == 6
    assert cv2.imread('work_dirs/quickstart/curves.png') is not None


@pytest.mark.parametrize('name,start', [
    ('ssd_dicenet_300_small_data', []), ('rtm_dicenet_320_small_data', ['--from', 'scratch'])])
def test_small_data(name, start, tmp_path, monkeypatch, capfd):
    """Fewer images than a batch, resumed after the first two of three steps, and once more with nothing left to do."""
    monkeypatch.chdir(tmp_path)
    make_voc('mine', dict(trainval=5), classes=('bolt', 'axle'))
    args = ['train.py', ROOT / f'configs/{name}.py', '--data', 'mine', *start, '--cfg-options',
            'model.backbone.widen_factor=0.1', 'default_hooks.checkpoint.interval=1', 'train_cfg.val_interval=2',
            *ONE_PROCESS]
    command(*args, 'train_cfg.max_iters=2')
    command(args[0], args[1], '--resume', *args[2:], 'train_cfg.max_iters=3')
    folder = Path('work_dirs', name)
    assert {'iter_2.pth', 'iter_3.pth'} <= {path.name for path in folder.glob('*.pth')}
    log = ''.join(path.read_text() for path in folder.glob('*/*.log'))
    assert 'resumed epoch: 0, iter: 2' in log
    assert 'resuming goes on with the rate and schedule of' in log and '.end is 2, not 3' in log
    capfd.readouterr()
    command(args[0], args[1], '--resume', *args[2:], 'train_cfg.max_iters=3')
    assert 'iter_3.pth has been trained for 3 of 3 steps: there is nothing left to do' in capfd.readouterr().out


def test_small_data_starts_from_the_built_in_detector(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make_voc('mine', dict(trainval=5), classes=('bolt', 'axle'))
    command('train.py', ROOT / 'configs/rtm_dicenet_320_small_data.py', '--data', 'mine', '--no-validate',
            '--cfg-options', 'train_cfg.max_iters=1', 'train_dataloader.batch_size=2', *ONE_PROCESS)
    assert f'starts from {BUILT_IN}' in capsys.readouterr().out
    trained = read_checkpoint('work_dirs/rtm_dicenet_320_small_data/iter_1.pth')['state_dict']
    own = read_checkpoint(BUILT_IN)['state_dict']
    for name in ('backbone.stem.0.weight', 'neck.0.convs.0.conv.weight', 'bbox_head.rtm_reg.0.weight'):
        torch.testing.assert_close(trained[name], own[name].float(), rtol=0, atol=1e-3)  # the first step is a small one
    assert trained['bbox_head.rtm_cls.0.weight'].shape[0] == 2
