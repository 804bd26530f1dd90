"""The commands for segmentation, from masks to pictures, on small generated data and on the authors' weights."""
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from tests.data import make_coco, make_pairs, scene
from tests.tools.test_commands import command

ROOT = Path(__file__).parents[2]
VOC = ROOT / 'configs/espnetv2_dicenet_256_voc12aug.py'
DIGITS = ROOT / 'configs/espnetv2_dicenet_digit_scenes.py'
ONE_PROCESS = [f'{name}_dataloader.{key}' for name in ('train', 'val', 'test')
               for key in ('num_workers=0', 'persistent_workers=False')] + ['env_cfg.cudnn_benchmark=False']
SMALL = [*ONE_PROCESS, 'model.backbone.widen_factor=0.1', 'train_dataloader.batch_size=4',
         'train_dataloader.dataset.pipeline.3.crop_size=(64,64)', 'model.data_preprocessor.size=(64,64)',
         *(f'{name}_dataloader.dataset.pipeline.1.scale=(96,64)' for name in ('val', 'test'))]


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A folder with flat images and masks, on which a small network was trained for one epoch."""
    folder = tmp_path_factory.mktemp('masks')
    make_pairs(folder / 'mine/images', folder / 'mine/masks', [f'{index:02d}' for index in range(20)])
    (folder / 'mine/classes.txt').write_text('background\nhouse\ntree\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        command('train.py', VOC, '--data', 'mine', '--work-dir', 'work_dirs/mine', '--device', 'cpu', '--cfg-options',
                *SMALL, 'train_cfg.max_epochs=1', 'train_cfg.val_interval=1')
    return folder


def test_test_measures_writes_and_draws(trained, monkeypatch, tmp_path, capfd):
    monkeypatch.chdir(trained)
    results = {}
    for name, options in dict(plain=['--out', tmp_path / 'masks', '--show-dir', tmp_path / 'shown'], fused=['--fuse'],
                              flipped=['--tta']).items():
        command('test.py', VOC, 'work_dirs/mine/epoch_1.pth', '--data', 'mine', '--eval', 'mIoU', '--device', 'cpu',
                '--work-dir', tmp_path / name, *options, '--cfg-options', *SMALL)
        results[name] = json.loads((tmp_path / name / 'metrics.json').read_text())
    printed = capfd.readouterr().out
    assert '|   house    |' in printed and 'per class results' in printed
    assert results['fused']['mIoU'] == pytest.approx(results['plain']['mIoU'], abs=0.05)
    assert 0 <= results['flipped']['mIoU'] <= 100 and 'IoU/house' in results['plain']
    masks = sorted((tmp_path / 'masks').glob('*.png'))
    assert len(masks) == 2 and len(list((tmp_path / 'shown').glob('*.jpg'))) == 2  # a tenth of 20 is held out
    assert np.asarray(Image.open(masks[0])).shape == (72, 96)


def test_demo(trained, monkeypatch, tmp_path):
    monkeypatch.chdir(trained)
    folder = tmp_path / 'in'
    folder.mkdir()
    for index, size in enumerate(((96, 72), (300, 200), (41, 77))):
        cv2.imwrite(str(folder / f'{index}.png'), scene(index, size)[0])
    writer = cv2.VideoWriter(str(folder / 'film.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 10, (96, 72))
    for index in range(3):
        writer.write(scene(index)[0])
    writer.release()
    command('demo.py', folder, '--model', 'mine', '--out-dir', tmp_path / 'out', '--batch-size', 2, '--opacity', 0.3,
            '--device', 'cpu')
    found = json.loads((tmp_path / 'out/predictions.json').read_text())
    assert len(found) == 6 and all(sum(s['share'] for s in entry['segments']) == pytest.approx(1, abs=1e-3)
                                   for entry in found)
    assert {path.relative_to(tmp_path / 'out').as_posix() for path in (tmp_path / 'out').rglob('*.*')} == {
        'predictions.json', 'film.mp4', *(f'{index}.{suffix}' for index in range(3) for suffix in ('jpg', 'png')),
        *(f'film_masks/{index:06d}.png' for index in range(3))}
    for index, size in enumerate(((72, 96), (200, 300), (77, 41))):
        assert np.asarray(Image.open(tmp_path / f'out/{index}.png')).shape == size
    assert cv2.VideoCapture(str(tmp_path / 'out/film.mp4')).get(cv2.CAP_PROP_FRAME_COUNT) == 3


def test_images_of_a_pixels_width(trained, monkeypatch, tmp_path):
    monkeypatch.chdir(trained)
    folder, sizes = tmp_path / 'in', [(72, 96), (50, 1), (1, 50), (1, 1), (2, 2000)]
    folder.mkdir()
    for index, size in enumerate(sizes):
        Image.fromarray(np.full((*size, 3), 90, np.uint8)).save(folder / f'{index}.png')
    command('demo.py', folder, '--model', 'mine', '--out-dir', tmp_path / 'out', '--device', 'cpu')
    assert len(json.loads((tmp_path / 'out/predictions.json').read_text())) == len(sizes)
    assert [np.asarray(Image.open(tmp_path / f'out/{index}.png')).shape for index in range(len(sizes))] == sizes


@pytest.mark.parametrize('args,message', [
    (['demo.py', '--model', 'mine', '--opacity', '1.5'], '--opacity must be from 0 to 1, got 1.5'),
    (['test.py', VOC, 'work_dirs/mine/epoch_1.pth', '--data', 'mine', '--out', 'a.json', '--cfg-options', *SMALL],
     '--out writes a folder of masks: give the name of a folder, not a.json'),
    (['test.py', VOC, 'work_dirs/mine/epoch_1.pth', '--data', 'mine', '--eval', 'mAP', '--cfg-options', *SMALL],
     'mAP is not a metric of this configuration; it has mIoU'),
    (['train.py', VOC, '--data', 'mine', '--cfg-options', 'train_dataloader.batch_size=40'],
     '18 training images do not fill a batch of 40'),
])
def test_mistakes(trained, monkeypatch, args, message):
    monkeypatch.chdir(trained)
    with pytest.raises(SystemExit) as stop:
        command(*args)
    assert str(stop.value).startswith('error: ') and message in str(stop.value)


def test_wrong_masks_stop_training(trained, monkeypatch, tmp_path):
    """Found as they are loaded, with or without workers, and told in one sentence."""
    monkeypatch.chdir(tmp_path)
    voc = tmp_path / 'data/VOCdevkit/VOC2012'
    names = [f'{index:02d}' for index in range(8)]
    make_pairs(voc / 'JPEGImages', voc / 'SegmentationClassAug', names, classes=99)  # of which VOC has 21
    (voc / 'ImageSets/Segmentation').mkdir(parents=True)
    for split in ('train_aug', 'val'):
        (voc / f'ImageSets/Segmentation/{split}.txt').write_text('\n'.join(names))
    mask = np.full((72, 96), 33, np.uint8)
    for name in names:
        Image.fromarray(mask).save(voc / f'SegmentationClassAug/{name}.png')
    for workers in (0, 1):
        with pytest.raises(SystemExit, match=r'^error: \S*/\d\d.png has 6912 pixels of class 33, but the classes are '
                                             r'0 to 20 \(255 is ignored\): give the right classes, or mend the mask$'):
            command('train.py', VOC, '--no-validate', '--device', 'cpu', '--cfg-options', *SMALL,
                    f'train_dataloader.num_workers={workers}')


def test_learns_digit_scenes(monkeypatch, tmp_path):
    """Eight scenes by heart, from random weights: eleven classes, of which guessing the background alone gives 8 %."""
    monkeypatch.setenv('DICENET_MM_CACHE', str(tmp_path))
    config = tmp_path / 'config.py'
    config.write_text(f"""_base_ = '{DIGITS}'
scenes = dict(train=8, val=1, size=(128, 96))
load = [dict(type='LoadImageFromFile'), dict(type='LoadMask'), dict(type='PackSegInputs')]
train_dataloader = dict(batch_size=8, dataset=dict(
    _delete_=True, type='RepeatDataset', times=10, dataset=dict(
        type='DigitScenesSegDataset', scenes=scenes, data_prefix=_base_.digits.data_prefix, pipeline=load,
        ann_file='VOC2007/ImageSets/Segmentation/train.txt')))
val_dataloader = dict(dataset=dict(scenes=scenes, ann_file='VOC2007/ImageSets/Segmentation/train.txt', pipeline=load))
model = dict(data_preprocessor=dict(size=(96, 128)), decode_head=dict(
    loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True, class_weight=[0.3] + 10 * [1.])))
train_cfg = dict(max_epochs=12, val_interval=12)
optim_wrapper = dict(optimizer=dict(lr=1e-2))
param_scheduler = [dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=15),
                   dict(type='CosineAnnealingLR', eta_min=1e-4)]
randomness = dict(seed=0)
""")
    command('train.py', config, '--work-dir', tmp_path / 'work', '--device', 'cpu', '--cfg-options',
            *ONE_PROCESS[:4], 'env_cfg.cudnn_benchmark=False')
    best = next((tmp_path / 'work').glob('best_mIoU_*.pth'))
    score = float(torch.load(best, weights_only=True)['message_hub']['runtime_info']['best_score'])
    assert score > 35


def test_coco_to_voc21(tmp_path):
    """A person with a car before it, both by polygons; and what is no class of VOC, or too small."""
    root = make_coco(tmp_path / 'coco', dict(train2017=3), classes=('person', 'couch', 'zebra'))
    file = root / 'annotations/instances_train2017.json'
    content = json.loads(file.read_text())

    def box(image, category, x, y, width, height):
        return dict(id=len(boxes) + 1, image_id=image, category_id=category, area=width * height, iscrowd=0,
                    bbox=[x, y, width, height],
                    segmentation=[[x, y, x + width, y, x + width, y + height, x, y + height]])

    boxes = []
    boxes += [box(0, 2, 10, 10, 20, 20)]
    boxes += [box(0, 1, 0, 0, 60, 60)]
    boxes += [box(0, 3, 70, 0, 20, 20)]
    boxes += [box(1, 1, 0, 0, 5, 5)]
    boxes += [box(2, 1, 0, 0, 50, 50)]
    runs = [0, 72 * 20, 72 * 76]  # column by column: the first 20 columns
    boxes += [dict(box(2, 2, 0, 0, 20, 72), iscrowd=1, segmentation=dict(size=[72, 96], counts=runs))]
    file.write_text(json.dumps(dict(content, annotations=boxes)))
    before = sorted(root.rglob('*'))
    command('dataset_converters/coco_to_voc21.py', root, '--out', tmp_path / 'out', '--splits', 'train2017')
    assert sorted(root.rglob('*')) == before
    assert (tmp_path / 'out/train2017.txt').read_text() == '000000000000\n000000000002\n'
    first, last = (np.asarray(Image.open(tmp_path / f'out/train2017/{index:012d}.png')) for index in (0, 2))
    expected = np.zeros((72, 96), int)
    expected[:60, :60] = 15
    expected[10:30, 10:30] = 18
    assert np.array_equal(first, expected)
    expected[:] = 0
    expected[:, :20] = 255  # a crowd, where there is nothing known one by one
    expected[:50, :50] = 15
    assert np.array_equal(last, expected)
    with pytest.raises(SystemExit, match='there is no annotation file .*instances_val2017.json'):
        command('dataset_converters/coco_to_voc21.py', root, '--out', tmp_path / 'out', '--splits', 'val2017')


@pytest.mark.parametrize('name,config', [
    ('dicenet_s_0.5_pascal_256x256', 'espnetv2_dicenet_256_voc12aug'),
    ('espnetv2_s_2.0_pascal_384x384', 'espnetv2_espnetv2_384_voc12aug'),
    ('dicenet_s_0.5_city_1024x512', 'espnetv2_dicenet_1024x512_cityscapes'),
])
def test_converted_weights_are_complete(shared, tmp_path, capsys, name, config):
    """The configuration and the classes are in the file, so that it is all that the demo needs."""
    command('convert_edgenets.py', shared / f'weights/edgenets/{name}.pth', tmp_path / 'w.pth')
    assert f'for configs/{config}.py' in capsys.readouterr().out
    cv2.imwrite(str(tmp_path / 'a.png'), scene(1, (200, 150))[0])
    command('demo.py', tmp_path / 'a.png', '--weights', tmp_path / 'w.pth', '--out-dir', tmp_path / 'out', '--device',
            'cpu')
    assert np.asarray(Image.open(tmp_path / 'out/a.png')).shape == (150, 200)


def test_miou_of_the_authors(shared, tmp_path, monkeypatch):
    """Of one network, by both ways of bringing its answers to the image's size."""
    expected = json.loads((shared / 'reference/seg_voc12_val_miou.json').read_text())['dicenet_s_0.5_pascal_256x256']
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'data').symlink_to(shared / 'data')
    command('convert_edgenets.py', shared / 'weights/edgenets/dicenet_s_0.5_pascal_256x256.pth', 'w.pth')
    for resize_labels in (True, False):
        command('test.py', VOC, 'w.pth', '--eval', 'mIoU', '--device', 'cpu', '--fuse', '--work-dir', 'work',
                '--cfg-options', *ONE_PROCESS, 'model.backbone.widen_factor=0.5',
                f'model.test_cfg.resize_labels={resize_labels}')
        got = json.loads((tmp_path / 'work/metrics.json').read_text())
        assert got['mIoU'] == pytest.approx(expected['mIoU'], abs=0.3)
        assert got['aAcc'] == pytest.approx(expected['aAcc'], abs=0.1)
