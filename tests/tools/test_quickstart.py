"""The commands of `make quickstart`, on few scenes; and small data of one's own, in steps instead of epochs."""
import json
from pathlib import Path

import cv2
import pytest

from tests.data import make_voc

from .test_commands import ROOT, command

ONE_PROCESS = [f'{split}_dataloader.{key}' for split in ('train', 'val', 'test')
               for key in ('num_workers=0', 'persistent_workers=False')]


def test_quickstart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('DICENET_MM_CACHE', str(tmp_path))
    scenes = [f'{split}_dataloader.dataset.scenes.{key}' for split in ('train', 'val', 'test')
              for key in ('train=16', 'val=4')]
    options = ['--cfg-options', 'train_cfg.max_epochs=1', 'train_cfg.val_interval=1', *scenes, *ONE_PROCESS]
    config = ROOT / 'configs/quickstart.py'
    command('train.py', config, '--resume', *options)
    best, = Path('work_dirs/quickstart').glob('best_*.pth')
    command('test.py', config, best, '--eval', 'mAP', '--fuse', *options)
    assert 'coco/bbox_mAP_50' in json.loads(Path('work_dirs/quickstart/metrics.json').read_text())
    command('demo.py', '--out-dir', 'outputs/quickstart')
    assert len(list(Path('outputs/quickstart').glob('*.jpg'))) == 6
    assert cv2.imread('work_dirs/quickstart/curves.png') is not None


@pytest.mark.parametrize('name', ['ssd_dicenet_300_small_data', 'rtm_dicenet_320_small_data'])
def test_small_data(name, tmp_path, monkeypatch):
    """Fewer images than a batch, resumed after the first two of three steps."""
    monkeypatch.chdir(tmp_path)
    make_voc('mine', dict(trainval=5), classes=('bolt', 'axle'))
    args = ['train.py', ROOT / f'configs/{name}.py', '--data', 'mine', '--cfg-options',
            'model.backbone.widen_factor=0.1', 'default_hooks.checkpoint.interval=1', 'train_cfg.val_interval=2',
            *ONE_PROCESS]
    command(*args, 'train_cfg.max_iters=2')
    command(args[0], args[1], '--resume', *args[2:], 'train_cfg.max_iters=3')
    folder = Path('work_dirs', name)
    assert {'iter_2.pth', 'iter_3.pth'} <= {path.name for path in folder.glob('*.pth')}
    assert 'resumed epoch: 0, iter: 2' in ''.join(path.read_text() for path in folder.glob('*/*.log'))
