"""Inspecting data, trainings and models."""
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from dicenet_mm.analysis import complexity, image_shape, layers
from dicenet_mm.apis import load_config
from dicenet_mm.apis.logs import main_metrics, read_scalars, run_names
from dicenet_mm.datasets import sample_photographs
from dicenet_mm.errors import UserError
from dicenet_mm.visualization.curves import running_mean
from dicenet_mm.visualization.sheet import contact_sheet
from tests.data import make_folders, make_pairs, make_voc

from .test_commands import command


@pytest.mark.parametrize('name', ['ssd_dicenet_300_coco', 'rtm_dicenet_320_small_data', 'dicenet_imagenet_e150_b512'])
def test_layers_add_up_to_the_model(name):
    """Each multiplication is counted in one layer; the first convolution by hand."""
    cfg = load_config(name)
    shape = image_shape(cfg)
    found = layers(cfg, shape)
    total = found.pop('total')
    assert sum(layer['macs'] for layer in found.values()) == total['macs'] == complexity(cfg, shape)['total']['macs']
    stem, first = next(iter(found.items()))
    outputs = (shape[0] + 1) // 2 * ((shape[1] + 1) // 2)
    assert stem == 'backbone.stem.0' and first == dict(macs=27 * 24 * outputs, parameters=27 * 24, kind='standard')


def scalars(folder, time, entries):
    file = Path(folder, time, 'vis_data/scalars.json')
    file.parent.mkdir(parents=True)
    file.write_text('\n'.join(map(json.dumps, entries)) + '\n{"loss": 1, "st')  # cut off


def test_curves_of_a_resumed_training(tmp_path):
    """Steps that were done again count once, with their later values."""
    scalars(tmp_path, '1', [dict(loss=float(9 - step), lr=0.1, step=step) for step in range(6)])
    scalars(tmp_path, '2', [dict(loss=0.5, lr=0.1, step=3), {'coco/bbox_mAP': 0.25, 'step': 4}])
    found = read_scalars(tmp_path)
    assert found['loss'][0].tolist() == [0, 1, 2, 3] and found['loss'][1].tolist() == [9, 8, 7, 0.5]
    assert found['coco/bbox_mAP'][1].tolist() == [0.25]
    assert main_metrics(list(found)) == ['loss', 'lr', 'coco/bbox_mAP']
    assert run_names(['w/a', 'w/b/c']) == ['a', 'b/c'] and run_names(['w/a']) == ['a']
    with pytest.raises(UserError, match='has no .*scalars.json: give the work directory of a training'):
        read_scalars(tmp_path / '1')
    np.testing.assert_allclose(running_mean(np.array([2., 4., 6., 0.]), 2), [2, 3, 5, 3])


def test_plot_logs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, factor in (('a', 1.), ('b', 2.)):
        scalars(name, '1', [dict(loss=factor / (1 + step), lr=0.1, step=step) for step in range(30)])
    command('analysis/plot_logs.py', 'a', 'b', '--out', 'both.png')
    assert 'b: loss 0.06667 at step 29, from 0.06667 to 2\n' in capsys.readouterr().out
    assert cv2.imread('both.png').shape == (352, 990, 3)  # two panels
    with pytest.raises(SystemExit, match='no training has logged mIoU; there are loss, lr'):
        command('analysis/plot_logs.py', 'a', '--metrics', 'mIoU')


def test_contact_sheet():
    red, tall = np.full((10, 20, 3), (255, 0, 0), np.uint8), np.zeros((40, 20, 3), np.uint8)
    sheet = contact_sheet([red, tall, red], columns=2, side=20)
    assert sheet.shape == (2 * 26 + 6, 2 * 26 + 6, 3)
    assert sheet[16, 16].tolist() == [255, 0, 0] and sheet[7, 16].tolist() == [255] * 3  # centred, on white
    assert sheet[7, 42].tolist() == [0] * 3 and sheet[16, 33].tolist() == [255] * 3 and sheet[42, 42].min() == 255


@pytest.mark.parametrize('config,make', [
    ('rtm_dicenet_320_small_data', lambda: make_voc('mine', dict(trainval=5), classes=('bolt', 'axle'))),
    ('segmentation_dicenet_small_data', lambda: make_pairs('mine/images', 'mine/masks', 'abcde')),
    ('classification_dicenet_small_data', lambda: make_folders('mine', dict(a=4, b=4)))])
def test_browse(config, make, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make()
    command('analysis/browse_dataset.py', config, '--data', 'mine', '--number', '2', '--times', '2')
    assert '4 pictures and browsed/sheet.jpg' in capsys.readouterr().out
    pictures = [cv2.imread(str(file)) for file in sorted(Path('browsed').glob('0*.jpg'))]
    assert len(pictures) == 4 and (pictures[0].shape != pictures[1].shape or (pictures[0] != pictures[1]).any())
    with pytest.raises(SystemExit, match='--number and --times are whole numbers from 1 on'):
        command('analysis/browse_dataset.py', config, '--data', 'mine', '--number', '0')


@pytest.fixture(scope='module')
def built_in(tmp_path_factory):
    """A test set of the two photographs that come with the package, with what they show."""
    folder = tmp_path_factory.mktemp('photographs')
    images = [dict(id=index, file_name=file.name, width=0, height=0)
              for index, file in enumerate(sample_photographs())]
    for file in sample_photographs():
        shutil.copy(file, folder)
    boxes = [dict(id=1, image_id=1, category_id=1, bbox=[0, 0, 450, 300]),
             dict(id=2, image_id=0, category_id=2, bbox=[0, 0, 512, 512]),
             dict(id=3, image_id=0, category_id=2, bbox=[0, 0, 20, 20])]  # nothing
    categories = [dict(id=1, name='cat'), dict(id=2, name='person')]
    (folder / 'test.json').write_text(json.dumps(dict(images=images, annotations=boxes, categories=categories)))
    return folder


def test_inspects_a_detector(built_in, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command('analysis/inspect_model.py', 'rtm_dicenet_320_small_data', 'rtm-dicenet-1.0-voc-320', '--data', built_in,
            '--device', 'cpu', '--score-thr', '0.45')
    assert 'at a score of 0.45 and IoU 0.5: 2 right, 0 wrong, 1 missed' in capsys.readouterr().out
    lines = Path('inspected/average_precision.csv').read_text().splitlines()
    assert lines[0] == 'class,mAP,mAP_50,mAP_75,mAP_s,mAP_m,mAP_l' and len(lines) == 22
    assert next(line for line in lines if line.startswith('cat,')).split(',')[2] == '1.0000'
    assert Path('inspected/images.csv').read_text().splitlines()[1].endswith('astronaut.jpg,1,0,1')
    assert all(cv2.imread(f'inspected/{name}') is not None for name in ('worst.jpg', 'precision_recall.png'))


@pytest.mark.parametrize('config,make,said', [
    ('segmentation_dicenet_small_data', lambda: make_pairs('mine/images', 'mine/masks', 'abcd'),
     'over the classes that occur'),
    ('classification_dicenet_small_data', lambda: make_folders('mine', dict(a=4, b=4)), ' images are right')])
def test_inspects_other_models(config, make, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make()
    options = ['--cfg-options', 'model.backbone.widen_factor=0.1']
    command('train.py', config, '--data', 'mine', '--batch-size', '2', '--epochs', '1', '--workers', '0',
            '--work-dir', 'work', *options)
    command('analysis/inspect_model.py', config, 'work', '--data', 'mine', '--device', 'cpu', *options)
    assert said in capsys.readouterr().out
    assert {'classes.csv', 'confusion_matrix.png'} <= {file.name for file in Path('inspected').iterdir()}
