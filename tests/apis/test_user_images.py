"""--data of classifiers: class folders, and COCO layout for several labels an image."""
import json
from collections import Counter
from pathlib import Path

import cv2
import pytest
import torch

from dicenet_mm.apis import check_data, load_config, print_data, use_data
from dicenet_mm.datasets import digit_scenes
from dicenet_mm.errors import UserError
from tests.data import make_coco, make_folders
from tests.tools.test_commands import command

CONFIGS = Path(__file__).parents[2] / 'configs'
CLASSES = dict(ant=3, bee=10, cat=4)


def use(tmp_path, folder, splits=('train', 'val'), name='classification_dicenet_small_data.py', classes=None):
    cfg = load_config(str(CONFIGS / name), {'train_dataloader.batch_size': 2}, str(tmp_path / 'work'))
    notes = use_data(cfg, str(folder), splits, classes)
    return cfg, notes, check_data(cfg, [*splits, 'test'])


@pytest.mark.parametrize('names', [('train', 'val'), ('training', 'test'), ('train', 'valid', 'test')])
def test_splits(tmp_path, names):
    for name in names:
        make_folders(tmp_path / 'mine' / name, CLASSES if name.startswith('train') else dict(ant=1, cat=2))
    cfg, notes, found = use(tmp_path, tmp_path / 'mine')
    assert found['train'].counts == Counter({0: 3, 1: 10, 2: 4}) and found['val'].counts == Counter({0: 1, 2: 2})
    assert found['train'].classes == found['test'].classes == ('ant', 'bee', 'cat') and not notes[1:]
    assert cfg.model.head.num_classes == 3 and cfg.val_evaluator.type == 'TopAccuracy'
    assert Path(found['test'].files[0]).name == names[-1]


def test_a_single_folder_is_divided_within_each_class(tmp_path):
    make_folders(tmp_path / 'mine', dict(CLASSES, dog=1))
    _, notes, found = use(tmp_path, tmp_path / 'mine')
    assert found['val'].counts == Counter({0: 1, 1: 1, 2: 1})  # a tenth, but at least one, and none of a single image
    assert found['train'].counts == Counter({0: 2, 1: 9, 2: 3, 3: 1})
    assert 'a tenth of each class' in notes[1]
    lists = [set((tmp_path / f'work/data/{split}.txt').read_text().splitlines()) for split in ('train', 'val')]
    assert not lists[0] & lists[1] and len(lists[0] | lists[1]) == 18


def test_what_other_programs_leave_is_no_data(tmp_path):
    make_folders(tmp_path / 'mine', CLASSES)
    for folder in ('__MACOSX/ant', '.ipynb_checkpoints', '@eaDir'):
        make_folders(tmp_path / 'mine' / folder, dict(ant=1))
    for name in ('labels.json', 'ant/0.json', 'bee/notes.json', 'ant/._0.jpg', 'ant/.DS_Store', 'ant/Thumbs.db'):
        (tmp_path / 'mine' / name).write_text('{"images": [], "annotations": [], "categories": []}')
    _, _, found = use(tmp_path, tmp_path / 'mine')
    assert found['train'].counts + found['val'].counts == Counter({0: 3, 1: 10, 2: 4})
    assert found['train'].classes == ('ant', 'bee', 'cat')


def test_a_class_may_be_called_train(tmp_path):
    make_folders(tmp_path / 'mine', dict(train=2, car=2))
    _, _, found = use(tmp_path, tmp_path / 'mine')
    assert found['train'].classes == ('car', 'train')


def test_classes_of_a_checkpoint(tmp_path):
    make_folders(tmp_path / 'mine/test', dict(cat=2, ant=1))
    cfg, _, found = use(tmp_path, tmp_path / 'mine', ['test'], classes=('cat', 'bee', 'ant'))
    assert found['test'].counts == Counter({0: 2, 2: 1}) and cfg.model.head.num_classes == 3


def test_the_same_images_in_both_splits_are_told(tmp_path):
    make_folders(tmp_path / 'mine/train', CLASSES)
    (tmp_path / 'mine/val').symlink_to(tmp_path / 'mine/train')
    _, notes, _ = use(tmp_path, tmp_path / 'mine')
    assert notes[1] == '3 class folders are both trained and validated on: the metric will be too good'


@pytest.mark.parametrize('make,message', [
    (lambda root: make_folders(root, dict(ant=3)), 'has a single class folder, ant: two classes are needed'),
    (lambda root: make_folders(root, dict(ant=1, bee=1)), 'has a single image of each class: more are needed'),
    (lambda root: (root / 'bee').mkdir(parents=True), '1 of the 1 class folders in .* have no image'),
    (lambda root: (make_folders(root, CLASSES), [path.write_bytes(b'') for path in (root / 'ant').iterdir()]),
     'no image in the class folder .*ant can be read; the last one: .*ant/2.jpg cannot be read as an image'),
    (lambda root: (make_folders(root / 'train', CLASSES), make_folders(root / 'val', dict(bird=1))),
     r'val has classes that .*train has not \(bird\): the folders of a class need the same name'),
    (lambda root: (make_folders(root / 'val', CLASSES)), 'has no train split, only val and test'),
    (lambda root: (make_folders(root / 'train', CLASSES), make_folders(root / 'training', CLASSES)),
     'both look like the train split'),
    (lambda root: make_coco(root, dict(train=3)), 'looks like COCO layout .* take a multilabel_'),
])
def test_bad_folders(tmp_path, make, message):
    make(tmp_path / 'mine')
    with pytest.raises(UserError, match=message):
        use(tmp_path, tmp_path / 'mine')


def test_unknown_to_the_checkpoint(tmp_path):
    make_folders(tmp_path / 'mine', CLASSES)
    with pytest.raises(UserError, match=r'classes that the checkpoint was not trained on \(bee, cat\)'):
        use(tmp_path, tmp_path / 'mine', ['test'], classes=('ant', 'dog'))


def test_head_of_another_class_count(tmp_path, monkeypatch):
    """Without --data nothing sets it, and a classifier's outputs must be the classes, no more and no fewer."""
    monkeypatch.chdir(tmp_path)
    for split in ('train', 'val'):
        make_folders(f'data/mine/{split}', CLASSES)
    options = {f'{split}_dataloader.dataset': dict(type='ImageFolderDataset', data_root=f'data/mine/{split}')
               for split in ('train', 'val')}
    for count in (2, 4):
        cfg = load_config(str(CONFIGS / 'classification_dicenet_small_data.py'),
                          {**options, 'model.head.num_classes': count})
        with pytest.raises(UserError, match=f'has 3 classes .* but LinearClsHead has num_classes={count}: set it to 3'):
            check_data(cfg)


def test_many_classes_are_not_all_printed(tmp_path, capsys):
    make_folders(tmp_path / 'mine', {f'c{index:03d}': 2 for index in range(105)})
    _, notes, found = use(tmp_path, tmp_path / 'mine')
    print_data(found, notes)
    printed = capsys.readouterr().out
    assert 'c099' in printed and 'c100' not in printed and '5 more classes' in printed and 'labels' in printed


# several labels an image

def test_coco_layout(tmp_path):
    make_coco(tmp_path / 'mine', dict(train=6, val=2), classes=('ant', 'bee'))
    cfg, _, found = use(tmp_path, tmp_path / 'mine', name='multilabel_dicenet_coco.py')
    assert found['train'].counts == Counter({0: 6, 1: 6}) and found['train'].counted == 'labels'
    assert cfg.model.head.num_classes == 2 and cfg.train_dataloader.dataset.type == 'MultiLabelCocoDataset'
    assert cfg.val_evaluator.type == 'MultiLabelF1' and cfg.evaluators.keys() == {'f1'}


def test_class_folders_have_one_label(tmp_path):
    make_folders(tmp_path / 'mine', CLASSES)
    with pytest.raises(UserError, match='several labels an image are read from object annotations in COCO layout'):
        use(tmp_path, tmp_path / 'mine', name='multilabel_dicenet_coco.py')


# the commands, from a folder to tested models and pictures

FAST = ['--device', 'cpu', '--cfg-options', 'model.backbone.widen_factor=0.1', 'train_dataloader.num_workers=0',
        'train_dataloader.persistent_workers=False', 'val_dataloader.num_workers=0',
        'val_dataloader.persistent_workers=False', 'test_dataloader.num_workers=0',
        'test_dataloader.persistent_workers=False', 'env_cfg.cudnn_benchmark=False', 'train_dataloader.batch_size=8',
        'val_dataloader.batch_size=8', 'default_hooks.logger.interval=1']


def in_64(name):
    """Options that make a configuration's pipelines give images of 64 px."""
    cfg = load_config(str(CONFIGS / name))
    resize = dict(type='Resize', scale=(64, 64), keep_ratio=False)
    pipeline = [dict(type='LoadImageFromFile'), resize, dict(type='PackInputs')]
    cfg.train_dataloader.dataset.pipeline = cfg.val_dataloader.dataset.pipeline = pipeline
    cfg.test_dataloader = cfg.val_dataloader
    return cfg


def scores(file):
    return [{label['label']: label['score'] for label in entry['labels']}
            for entry in json.loads(Path(file).read_text())]


def test_folders_from_data_to_pictures(tmp_path, monkeypatch):
    """Three classes of three colours: learned, tested in all forms, and listed by the demo."""
    monkeypatch.chdir(tmp_path)
    make_folders('mine', dict(red=12, green=12, blue=12))
    in_64('classification_dicenet_small_data.py').dump('c.py')
    command('train.py', 'c.py', '--work-dir', 'work', '--data', 'mine', *FAST, 'train_cfg.max_epochs=30',
            'train_cfg.val_interval=30', 'param_scheduler.0.end=4')
    metrics = {}
    for form in ('plain', '--fuse', '--tta'):
        command('test.py', 'c.py', 'work/epoch_30.pth', '--work-dir', 'work', '--data', 'mine', '--eval', 'accuracy',
                '--out', f'out{form}.json', *(['--show-dir', 'shown'] if form == 'plain' else [form]), *FAST)
        metrics[form] = json.loads(Path('work/metrics.json').read_text())
    assert metrics['plain']['accuracy/top1'] == metrics['--fuse']['accuracy/top1'] == 100
    assert metrics['plain']['accuracy/top1/blue'] == 100 and 'accuracy/top5' not in metrics['plain']
    assert 0 <= metrics['--tta']['accuracy/top1'] <= 100
    assert len(scores('outplain.json')) == 3 and len(list(Path('shown').glob('*.jpg'))) == 3
    for entry, fused in zip(json.loads(Path('outplain.json').read_text()), scores('out--fuse.json')):
        assert Path(entry['image']).parent.name == entry['labels'][0]['label']
        assert sum(fused.values()) == pytest.approx(1, abs=1e-3)
        assert {label['label']: label['score'] for label in entry['labels']} == pytest.approx(fused, abs=2e-4)
    command('demo.py', 'mine/green/3.jpg', '--weights', 'work/epoch_30.pth', '--device', 'cpu')
    entry, = json.loads(Path('outputs/predictions.json').read_text())
    assert entry['labels'][0]['label'] == 'green' and cv2.imread('outputs/3.jpg').shape[1] == 640
    Path('mine/red').rename('mine/pink')
    with pytest.raises(SystemExit, match=r'error: .* not trained on \(pink\)'):
        command('test.py', 'c.py', 'work/epoch_30.pth', '--data', 'mine', *FAST)


def test_several_labels_from_data_to_pictures(tmp_path, monkeypatch):
    """DigitScenes: the loss falls, and both forms of the model measure the same."""
    monkeypatch.chdir(tmp_path)
    scenes = digit_scenes.generate(tmp_path / 'scenes', train=24, val=8, size=(96, 96))
    in_64('multilabel_dicenet_coco.py').dump('c.py')
    command('train.py', 'c.py', '--work-dir', 'work', '--data', scenes, *FAST, 'train_cfg.max_epochs=8',
            'train_cfg.val_interval=8')
    history = torch.load('work/epoch_8.pth', weights_only=True)['message_hub']['log_scalars']['train/loss']
    losses = history['log_history'].tolist()
    assert len(losses) == 24 and sum(losses[-3:]) < 0.9 * sum(losses[:3])
    metrics = {}
    for form in ('plain', '--fuse'):
        command('test.py', 'c.py', 'work/epoch_8.pth', '--work-dir', 'work', '--data', scenes, '--eval', 'f1', '--out',
                f'out{form}.json', *([] if form == 'plain' else [form]), *FAST)
        metrics[form] = json.loads(Path('work/metrics.json').read_text())
    assert metrics['--fuse'] == pytest.approx(metrics['plain'])
    assert {'multi-label/class_f1', 'multi-label/overall_f1'} <= metrics['plain'].keys()
    for plain, fused in zip(scores('outplain.json'), scores('out--fuse.json')):
        assert plain == pytest.approx(fused, abs=2e-4) and len(plain) == 10
    command('demo.py', scenes / 'VOC2007/JPEGImages/000001.jpg', '--weights', 'work/epoch_8.pth', '--score-thr', '0.2',
            '--device', 'cpu')
    entry, = json.loads(Path('outputs/predictions.json').read_text())
    assert all(label['label'] in digit_scenes.CLASSES and label['score'] >= 0.2 for label in entry['labels'])
    with pytest.raises(SystemExit, match='accuracy is not a metric of this configuration; it has f1'):
        command('test.py', 'c.py', 'work/epoch_8.pth', '--eval', 'accuracy')


def test_digits_learn(tmp_path, monkeypatch):
    """Two epochs at the smallest width are well above chance."""
    monkeypatch.chdir(tmp_path)
    command('train.py', CONFIGS / 'dicenet_digits.py', '--work-dir', 'work', *FAST[:2], '--cfg-options',
            'model.backbone.widen_factor=0.1', 'train_cfg.max_epochs=2', 'param_scheduler.0.end=10')
    command('test.py', CONFIGS / 'dicenet_digits.py', 'work/epoch_2.pth', '--work-dir', 'work', '--out', 'found.json',
            *FAST[:2], '--cfg-options', 'model.backbone.widen_factor=0.1')
    assert json.loads(Path('work/metrics.json').read_text())['accuracy/top1'] > 30
    assert json.loads(Path('found.json').read_text())[5]['image'] == 5
    assert torch.load('work/epoch_2.pth', weights_only=True)['meta']['dataset_meta']['classes'][0] == 'zero'
