"""The commands, typed as a person types them, on small generated data."""
import json
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest
import torch

from tests.data import make_voc, scene

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / 'configs/ssd_dicenet_300_voc0712.py'
SMALL = ['model.backbone.widen_factor=0.1', 'train_dataloader.batch_size=4', 'train_dataloader.num_workers=0',
         'train_dataloader.persistent_workers=False', 'val_dataloader.num_workers=0',
         'val_dataloader.persistent_workers=False', 'test_dataloader.num_workers=0',
         'test_dataloader.persistent_workers=False', 'default_hooks.logger.interval=1', 'env_cfg.cudnn_benchmark=False']


def command(*args):
    """Run a command in this process: starting one costs seconds of imports."""
    script, *rest = map(str, args)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'argv', [script, *rest])
        patch.syspath_prepend(str(ROOT / 'tools'))
        runpy.run_path(str(ROOT / 'tools' / script), run_name='__main__')


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A folder with VOC data in which an SSD was trained for three epochs, killed in the second, and resumed."""
    folder = tmp_path_factory.mktemp('voc')
    make_voc(folder / 'data/VOCdevkit', dict(trainval=16, test=4), years=('VOC2007', 'VOC2012'))
    options = ['--device', 'cpu', '--cfg-options', 'train_cfg.max_epochs=3', *SMALL]
    args = [sys.executable, ROOT / 'tools/train.py', CONFIG, *options]
    work_dir = folder / 'work_dirs/ssd_dicenet_300_voc0712'
    with open(folder / 'log', 'w') as log:
        process = subprocess.Popen(args, cwd=folder, stdout=log, stderr=log, env={**os.environ, 'OMP_NUM_THREADS': '1'})
    deadline = time.monotonic() + 300
    while 'Epoch(train) [2][2/8]' not in (folder / 'log').read_text():  # mid-epoch
        assert process.poll() is None and time.monotonic() < deadline, (folder / 'log').read_text()[-3000:]
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (work_dir / 'epoch_1.pth').exists() and not (work_dir / 'epoch_2.pth').exists()
    resumed = subprocess.run([*args, '--resume'], cwd=folder, text=True, capture_output=True)
    assert resumed.returncode == 0, resumed.stderr[-3000:]
    return folder, work_dir, resumed.stdout


def test_resumes_after_a_kill(trained):
    _, work_dir, log = trained
    assert 'resumed epoch: 1, iter: 8' in log
    assert 'Epoch(train) [1]' not in log and 'Epoch(train) [2][1/8]' in log and 'Epoch(train) [3][8/8]' in log
    checkpoint = torch.load(work_dir / 'epoch_3.pth', weights_only=True)
    assert checkpoint['meta']['epoch'] == 3 and checkpoint['meta']['iter'] == 24


def test_test_measures_writes_and_draws(trained, monkeypatch, capfd):
    folder, work_dir, _ = trained
    monkeypatch.chdir(folder)
    command('test.py', CONFIG, work_dir / 'epoch_3.pth', '--eval', 'mAP', '--out', 'found.json', '--show-dir', 'shown',
            '--cfg-options', *SMALL)
    printed = capfd.readouterr().out
    assert 'PASCAL VOC AP at IoU 0.5 (11 points)' in printed and '| person' in printed
    metrics = json.loads((work_dir / 'metrics.json').read_text())
    assert 0 <= metrics['pascal_voc/mAP'] <= 1 and {'pascal_voc/AP/person', 'pascal_voc/AP/car'} <= metrics.keys()
    found = json.loads((folder / 'found.json').read_text())
    assert len(found) == 4 and found[0]['width'] == 96 and found[0]['height'] == 72
    assert len(list((folder / 'shown').rglob('*.jpg'))) == 4


@pytest.mark.parametrize('option', ['--fuse', '--tta'])
def test_other_forms_of_the_model(trained, option, monkeypatch, tmp_path):
    folder, work_dir, _ = trained
    monkeypatch.chdir(folder)
    command('test.py', CONFIG, work_dir / 'epoch_3.pth', option, '--work-dir', tmp_path, '--cfg-options', *SMALL)
    assert 0 <= json.loads((tmp_path / 'metrics.json').read_text())['pascal_voc/mAP'] <= 1


def test_demo(trained, monkeypatch, tmp_path, capsys):
    _, work_dir, _ = trained
    monkeypatch.chdir(tmp_path)
    for name, image in (('a/one.jpg', scene(1)[0]), ('b/one.jpg', scene(2, (1200, 700))[0]),
                        ('b/two.png', scene(3)[0][:33, :50])):
        Path(name).parent.mkdir(exist_ok=True)
        cv2.imwrite(name, image)
    Path('b/broken.jpg').write_bytes(b'not an image')
    Path('b/empty.jpg').touch()
    writer = cv2.VideoWriter('film.avi', cv2.VideoWriter_fourcc(*'MJPG'), 10, (96, 72))
    for index in range(3):
        writer.write(scene(index)[0])
    writer.release()
    args = ['demo.py', 'a/one.jpg', 'b', '*.avi', '--weights', work_dir / 'epoch_3.pth', '--batch-size', '2']
    command(*args, '--score-thr', '0.05')
    assert 'note: b/broken.jpg cannot be read as an image: it is left out\n' in capsys.readouterr().err
    predictions = json.loads(Path('outputs/predictions.json').read_text())
    assert [(Path(p['input']).name, p.get('frame')) for p in predictions] == [
        ('one.jpg', None), ('one.jpg', None), ('two.png', None), *(('film.avi', frame) for frame in range(3))]
    assert all(d['score'] >= 0.05 for p in predictions for d in p['detections'])
    assert {p.name for p in Path('outputs').iterdir()} == {
        'predictions.json', 'one.jpg', 'one_2.jpg', 'two.jpg', 'film.mp4'}
    assert all(Path('outputs', p['output']).is_file() for p in predictions)
    film = cv2.VideoCapture('outputs/film.mp4')
    assert film.get(cv2.CAP_PROP_FRAME_COUNT) == 3
    with pytest.raises(SystemExit, match='error: outputs holds the results of another run: give another --out-dir, or '
                                         '--overwrite'):
        command(*args)
    Path('outputs/mine.txt').touch()
    command('demo.py', 'b/two.png', '--weights', work_dir / 'epoch_3.pth', '--overwrite')
    assert {p.name for p in Path('outputs').iterdir()} == {'predictions.json', 'two.jpg', 'mine.txt'}


def test_get_flops(capsys):
    command('analysis/get_flops.py', CONFIG, '--json', '--shape', 512, 512)
    parts = json.loads(capsys.readouterr().out)['parts']
    assert parts['total']['macs'] == 1919756412 and parts.keys() == {'backbone', 'neck', 'bbox_head', 'total'}


def test_convert_edgenets(shared, tmp_path, capsys):
    command('convert_edgenets.py', shared / 'weights/edgenets/dicenet_s_0.5_pascal_256x256.pth', tmp_path / 'new/d.pth')
    assert 'DiCENet with widen_factor=0.5, input_size=224' in capsys.readouterr().out
    meta = torch.load(tmp_path / 'new/d.pth', weights_only=True)['meta']
    assert meta['source'] == 'dicenet_s_0.5_pascal_256x256.pth'


def test_demo_by_name(trained, monkeypatch):
    """What was trained in work_dirs, by its name, on the built-in photographs."""
    folder, _, _ = trained
    monkeypatch.chdir(folder)
    command('demo.py', '--model', 'ssd_dicenet_300_voc0712', '--out-dir', 'drawn', '--device', 'cpu')
    assert {file.stem for file in (folder / 'drawn').glob('*.jpg')} == {'astronaut', 'cat'}
