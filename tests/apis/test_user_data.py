import json
import shutil
from collections import Counter
from pathlib import Path

import cv2
import pytest
import torch
from mmengine.config import Config

from dicenet_mm.apis import check_data, load_config, print_data, use_data
from dicenet_mm.errors import UserError
from tests.data import make_coco, make_voc, scene
from tests.tools.test_commands import SMALL, command

CONFIGS = Path(__file__).parents[2] / 'configs'


def load(name='ssd_dicenet_300_voc0712.py', work_dir='work'):
    return load_config(str(CONFIGS / name), {'train_dataloader.batch_size': 2}, str(work_dir))


def use(tmp_path, folder, name='ssd_dicenet_300_voc0712.py', splits=('train', 'val'), **kwargs):
    cfg = load(name, tmp_path / 'work')
    notes = use_data(cfg, str(folder), splits, **kwargs)
    return cfg, notes, check_data(cfg, [*splits, 'test'])


def flat(folder, count=10):
    """Images with one JSON beside them."""
    make_coco(folder, dict(train=count))
    for path in (folder / 'train').iterdir():
        path.rename(folder / path.name)
    (folder / 'annotations/instances_train.json').rename(folder / 'labels.json')
    shutil.rmtree(folder / 'annotations')
    (folder / 'train').rmdir()
    return folder


# VOC layout

@pytest.mark.parametrize('given', ['.', 'VOCdevkit', 'VOCdevkit/VOC2007'])
def test_voc_from_any_of_its_folders(given, tmp_path):
    make_voc(tmp_path / 'mine/VOCdevkit', dict(trainval=6, test=4), classes=('wheel', 'bolt'))
    cfg, _, found = use(tmp_path, tmp_path / 'mine' / given)
    assert found['train'].classes == ('bolt', 'wheel')
    assert [found[split].images for split in ('train', 'val', 'test')] == [6, 4, 4]
    assert found['train'].counts == Counter({0: 6, 1: 6})  # a wheel and a bolt in each image
    assert cfg.model.bbox_head.num_classes == 2
    assert cfg.val_evaluator.type == cfg.test_evaluator.type == cfg.evaluators.mAP.type == 'PascalVOCMetric'
    dataset = cfg.test_dataloader.dataset
    assert dataset.test_mode and dataset.pipeline == load().test_dataloader.dataset.pipeline
    assert dataset.metainfo.classes == ('bolt', 'wheel') and len(dataset.metainfo.palette) == 2
    assert Config.fromstring(cfg.pretty_text, '.py').model.bbox_head.num_classes == 2  # as a checkpoint carries it


@pytest.mark.parametrize('lists,expected', [
    (dict(trainval=5, test=2), dict(train='trainval', val='test', test='test')),
    (dict(train=5, val=2), dict(train='train', val='val', test='val')),
    (dict(trainval=5, train=4, val=3), dict(train='train', val='val', test='val')),
    (dict(trainval=5, train=4, val=3, test=2), dict(train='trainval', val='test', test='test')),
    (dict(train=5, val=3, test=2), dict(train='train', val='val', test='test')),
])
def test_voc_lists(lists, expected, tmp_path):
    make_voc(tmp_path / 'mine', lists)
    cfg, _, found = use(tmp_path, tmp_path / 'mine')
    assert {split: Path(found[split].files[0]).stem for split in expected} == expected
    assert {split: found[split].images for split in expected} == {s: lists[name] for s, name in expected.items()}


def test_voc_of_several_years_is_joined_for_training(tmp_path):
    make_voc(tmp_path / 'mine', dict(trainval=4, test=2), years=('VOC2007',))
    make_voc(tmp_path / 'mine', dict(trainval=3), years=('VOC2012',), classes=('boat',))
    (tmp_path / 'mine/VOC2012/ImageSets/Main/test.txt').write_text('900001\n900002\n')  # without annotations, as VOC's
    cfg, notes, found = use(tmp_path, tmp_path / 'mine')
    assert found['train'].images == 7 and found['train'].classes == ('boat', 'car', 'person')
    assert found['train'].counts == Counter({0: 6, 1: 4, 2: 4})
    assert cfg.train_dataloader.dataset.type == 'ConcatDataset' and found['test'].images == 2
    assert any('VOC2012/ImageSets/Main/test.txt is not used' in note for note in notes)


@pytest.mark.parametrize('lists', [False, True])
def test_voc_without_validation_holds_out_a_tenth(lists, tmp_path):
    make_voc(tmp_path / 'mine', dict(trainval=20))
    if not lists:
        shutil.rmtree(tmp_path / 'mine/VOC2007/ImageSets')
    _, notes, found = use(tmp_path, tmp_path / 'mine')
    assert (found['train'].images, found['val'].images) == (18, 2)
    train, val = (set(Path(found[split].files[0]).read_text().split()) for split in ('train', 'val'))
    assert len(train | val) == 20 and any('a tenth of' in note for note in notes)
    _, _, again = use(tmp_path / 'other', tmp_path / 'mine')
    assert set(Path(again['val'].files[0]).read_text().split()) == val


def test_images_both_trained_and_validated_on_are_told(tmp_path):
    make_voc(tmp_path / 'mine', dict(trainval=5, val=3))
    lists = tmp_path / 'mine/VOC2007/ImageSets/Main'
    names = (lists / 'trainval.txt').read_text().split()
    (lists / 'val.txt').write_text('\n'.join(names[:2]))
    _, notes, _ = use(tmp_path, tmp_path / 'mine')
    assert '2 of the 2 images to validate on are trained on, too: the metric will be too good' in notes


# COCO layout

@pytest.mark.parametrize('splits,expected', [
    (dict(train2017=5, val2017=2), dict(train=5, val=2, test=2)),
    (dict(training=5, validation=3, test=2), dict(train=5, val=3, test=2)),
    (dict(train=5, test=2), dict(train=5, val=2, test=2)),
    (dict(train=5, latest=2), dict(train=5, val=2, test=2)),
    (dict(everything=20), dict(train=18, val=2, test=2)),
])
def test_coco_with_any_split_names(splits, expected, tmp_path):
    make_coco(tmp_path / 'mine', splits, classes=('wheel', 'bolt'))
    cfg, _, found = use(tmp_path, tmp_path / 'mine', 'ssd_dicenet_300_coco.py')
    assert {split: found[split].images for split in expected} == expected
    assert found['train'].classes == ('wheel', 'bolt') and cfg.model.bbox_head.num_classes == 2
    assert cfg.val_evaluator.type == 'CocoDetectionMetric'
    assert cfg.evaluators.mAP == cfg.evaluators.bbox == cfg.test_evaluator


def test_flat_folder_with_one_json(tmp_path):
    _, notes, found = use(tmp_path, flat(tmp_path / 'mine'))
    assert (found['train'].images, found['val'].images) == (9, 1) and any('a tenth of' in note for note in notes)
    first, second = (set(Path(found[split].files[0]).read_text().split()) for split in ('train', 'val'))
    assert not first & second and first | second == {f'{index:012d}.jpg' for index in range(10)}


def test_json_beside_the_images_of_each_split(tmp_path):
    root = make_coco(tmp_path / 'mine', dict(train=5, valid=2))
    for split in ('train', 'valid'):
        (root / f'annotations/instances_{split}.json').rename(root / split / '_annotations.coco.json')
        for index, path in enumerate(sorted((root / split).glob('*.jpg'))):
            path.rename(path.with_name(f'{index}.jpg'))  # the same names in both splits
        path = root / split / '_annotations.coco.json'
        content = json.loads(path.read_text())
        for index, image in enumerate(content['images']):
            image['file_name'] = f'{index}.jpg'
        path.write_text(json.dumps(content))
    (root / 'annotations').rmdir()
    cfg, _, found = use(tmp_path, root)
    assert (found['train'].images, found['val'].images) == (5, 2)
    assert cfg.train_dataloader.dataset.data_prefix.img == f'{root}/train/'
    assert cfg.val_dataloader.dataset.data_prefix.img == f'{root}/valid/'


def test_only_coco_instances_count(tmp_path):
    make_coco(tmp_path / 'mine', dict(train=3, val=2))
    (tmp_path / 'mine/annotations/captions_train.json').write_text('{"annotations": []}')
    assert use(tmp_path, tmp_path / 'mine')[2]['train'].images == 3


def test_categories_in_another_order_or_without_some_fields(tmp_path):
    root = make_coco(tmp_path / 'mine', dict(train=4, val=2))  # category 1 is person, 2 is car
    path = root / 'annotations/instances_val.json'
    content = json.loads(path.read_text())
    content['categories'] = [dict(id=7, name='car'), dict(id=9, name='person')]
    for entry in content['annotations']:
        entry['category_id'] = {1: 9, 2: 7}[entry['category_id']]
        del entry['area'], entry['iscrowd']
    content['annotations'].pop(0)  # a person
    path.write_text(json.dumps(content))
    _, _, found = use(tmp_path, root)
    assert found['val'].classes == ('person', 'car') and found['val'].counts == Counter({0: 1, 1: 2})


# what is fitted

def test_wrappers_of_the_data_set_stay(tmp_path):
    make_voc(tmp_path / 'mine', dict(trainval=3, test=2))
    cfg = load()
    cfg.train_dataloader.dataset = dict(type='RepeatDataset', times=5, dataset=cfg.train_dataloader.dataset)
    cfg.model.extra_heads = [dict(num_classes=20), dict(inner=dict(num_classes=80))]
    cfg.work_dir = str(tmp_path)
    use_data(cfg, str(tmp_path / 'mine'), ['train', 'val'])
    assert cfg.train_dataloader.dataset.times == 5
    assert cfg.train_dataloader.dataset.dataset.type == 'CheckedVOCDataset'
    assert [cfg.model.extra_heads[0].num_classes, cfg.model.extra_heads[1].inner.num_classes] == [2, 2]
    cfg.train_dataloader.batch_size = 15
    check_data(cfg)


def test_known_classes_keep_their_colours(tmp_path):
    from mmdet.datasets import VOCDataset
    make_voc(tmp_path / 'mine', dict(trainval=12, test=2), classes=VOCDataset.METAINFO['classes'][:2])
    cfg, _, _ = use(tmp_path, tmp_path / 'mine')
    assert len(cfg.test_dataloader.dataset.metainfo.palette) == 2  # two of VOC's are not VOC's
    make_coco(tmp_path / 'voc', dict(train=9), classes=VOCDataset.METAINFO['classes'])
    cfg, _, _ = use(tmp_path, tmp_path / 'voc')
    assert [tuple(colour) for colour in cfg.test_dataloader.dataset.metainfo.palette] == VOCDataset.METAINFO['palette']


def test_best_checkpoint_is_chosen_by_a_metric_that_there_is(tmp_path):
    make_voc(tmp_path / 'voc', dict(trainval=4, test=2))
    make_coco(tmp_path / 'coco', dict(train=4, val=2))
    cfg = load()
    cfg.work_dir = str(tmp_path)
    cfg.default_hooks.checkpoint.save_best = 'coco/bbox_mAP_50'
    use_data(cfg, str(tmp_path / 'coco'), ['train'])
    assert cfg.default_hooks.checkpoint.save_best == 'coco/bbox_mAP_50'
    use_data(cfg, str(tmp_path / 'voc'), ['train'])
    assert cfg.default_hooks.checkpoint.save_best == 'pascal_voc/mAP'


def test_classes_of_a_checkpoint_are_kept_in_its_order(tmp_path):
    root = make_coco(tmp_path / 'mine', dict(train=3, test=3))
    cfg, _, found = use(tmp_path, root, splits=['test'], classes=['bus', 'car', 'person'])
    assert list(found['test'].classes) == ['bus', 'car', 'person'] and found['test'].counts == Counter({1: 3, 2: 3})
    assert cfg.model.bbox_head.num_classes == 3
    with pytest.raises(UserError, match=r'the checkpoint was not trained on \(car\); its own are person, cat'):
        use(tmp_path, root, splits=['test'], classes=['person', 'cat'])


def test_the_table(tmp_path, capsys):
    make_coco(tmp_path / 'mine', dict(train=6, val=4), classes=('wheel', 'bolt', 'axle'))  # no axles
    _, notes, found = use(tmp_path, tmp_path / 'mine')
    print_data(found, notes)
    rows = [line.replace('│', ' ').split() for line in capsys.readouterr().out.splitlines()]
    assert ['images', '6', '4', '4'] in rows and ['wheel', '6', '4', '4'] in rows and ['axle', '0', '0', '0'] in rows
    assert ['boxes', '12', '8', '8'] in rows
    assert [f'{tmp_path}/mine:', 'COCO', 'layout,', '3', 'classes'] in rows


# wrong folders

def images_only(root):
    root.mkdir()
    cv2.imwrite(str(root / '1.png'), scene(1)[0])


def no_voc_images(root):
    make_voc(root, dict(trainval=2))
    shutil.rmtree(root / 'VOC2007/JPEGImages')


def empty_list(root):
    make_voc(root, dict(trainval=2))
    (root / 'VOC2007/ImageSets/Main/trainval.txt').write_text('\n')


def no_coco_images(root):
    make_coco(root, dict(train=2))
    shutil.rmtree(root / 'train')


def one_json_an_image(root):
    images_only(root)
    for name in 'ab':
        (root / f'{name}.json').write_text('{"version": "5.0", "shapes": []}')


def no_objects(root):
    make_coco(root, dict(train=2), classes=('a',))
    path = root / 'annotations/instances_train.json'
    path.write_text(json.dumps(dict(json.loads(path.read_text()), categories=[], annotations=[])))


@pytest.mark.parametrize('make,message', [
    (lambda root: None, 'there is no folder {root}: check the path'),
    (lambda root: root.write_text(''), '{root} is a file: --data takes the folder'),
    (lambda root: root.mkdir(), '; found nothing; is it the right folder?'),
    (images_only, 'found 1 .png files; there are images but no annotations'),
    (no_voc_images, '{root}/VOC2007 has Annotations/ but no JPEGImages/ (it has Annotations/, ImageSets/)'),
    (empty_list, '{root}/VOC2007/ImageSets/Main/trainval.txt is empty: it needs the names of images'),
    (lambda root: make_voc(root, dict(test=2)), '{root} (VOC layout) has no train split, only val and test'),
    (lambda root: make_voc(root, dict(trainval=1)), 'trainval.txt names a single image: two are needed'),
    (no_coco_images, 'none of the images that {root}/annotations/instances_train.json lists (000000000000.jpg'),
    (one_json_an_image, '{root}/a.json is not in COCO format: it has no list of images and annotations and categories'),
    (lambda root: make_coco(root, dict(a=2, b=2)), 'instances_b.json cannot be told: put train, val or test into'),
    (lambda root: make_coco(root, dict(train1=2, train2=2)), 'both look like the train split'),
    (no_objects, '{root} (COCO layout) has no class names'),
])
def test_wrong_folders(make, message, tmp_path):
    root = tmp_path / 'mine'
    make(root)
    with pytest.raises(UserError) as stop:
        use_data(load(work_dir=tmp_path / 'work'), str(root), ['train', 'val'])
    assert message.format(root=root) in str(stop.value)


def test_the_nearest_folder_is_named(tmp_path):
    (tmp_path / 'pictures').mkdir()
    with pytest.raises(UserError, match=f'did you mean {tmp_path}/pictures'):
        use_data(load(), str(tmp_path / 'picturs'), ['train'])


def test_other_tasks_are_refused(tmp_path):
    with pytest.raises(UserError, match='--data works with configurations whose default_scope is mmdet .* mmaction'):
        use_data(Config(dict(default_scope='mmaction')), str(tmp_path), ['train'])


# the commands, from a folder to a tested model

@pytest.mark.parametrize('config,make', [
    ('ssd_dicenet_300_coco.py', lambda root: make_voc(root, dict(trainval=6, test=4), classes=('bolt', 'axle'))),
    ('ssd_dicenet_300_voc0712.py', lambda root: flat(root)),
])
def test_train_and_test(config, make, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    make(tmp_path / 'mine')
    command('train.py', CONFIGS / config, '--data', 'mine', '--work-dir', 'work', '--cfg-options',
            'train_cfg.max_epochs=1', 'train_cfg.val_interval=1', *SMALL)
    assert '│ boxes' in capfd.readouterr().out
    meta = torch.load('work/epoch_1.pth', weights_only=True)['meta']
    assert len(meta['dataset_meta']['classes']) == 2
    command('test.py', CONFIGS / config, 'work/epoch_1.pth', '--data', 'mine', '--eval', 'mAP', '--work-dir', 'work',
            '--tta', '--cfg-options', *SMALL)
    assert any(key.endswith('mAP') for key in json.loads(Path('work/metrics.json').read_text()))
    for path in Path('mine').rglob('*.jpg'):
        path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(SystemExit, match=r'^error: .*\.jpg cannot be read as an image'):
        command('test.py', CONFIGS / config, 'work/epoch_1.pth', '--data', 'mine', '--work-dir', 'work',
                '--cfg-options', *SMALL, 'test_dataloader.num_workers=1')


# real data

def test_real_coco(shared, tmp_path):
    cfg, _, found = use(tmp_path, shared / 'data/coco', 'ssd_dicenet_300_coco.py')
    lists = {split: json.loads((shared / f'data/coco/annotations/instances_{split}2017.json').read_text())
             for split in ('train', 'val')}
    for split, content in lists.items():
        used = content['images'] if split == 'val' else {entry['image_id'] for entry in content['annotations']}
        assert found[split].images == len(used)
        boxes = sum(min(entry['bbox'][2:]) >= 1 for entry in content['annotations'])
        assert found[split].counts.total() + found[split].ignored == boxes
    assert list(found['train'].classes) == [category['name'] for category in lists['train']['categories']]
    assert found['val'].files == [str(shared / 'data/coco/annotations/instances_val2017.json')]


def test_real_voc(shared, tmp_path):
    _, _, found = use(tmp_path, shared / 'data/VOCdevkit')
    lists = {split: [(shared / f'data/VOCdevkit/VOC{year}/ImageSets/Main/{split}.txt').read_text().split()
                     for year in years] for split, years in dict(trainval=(2007, 2012), test=(2007,)).items()}
    assert found['train'].images == sum(map(len, lists['trainval'])) and found['val'].images == len(lists['test'][0])
    assert len(found['train'].classes) == 20
    folder = shared / 'data/VOCdevkit/VOC2007'
    names = (folder / 'ImageSets/Main/test.txt').read_text().split()
    objects = sum((folder / f'Annotations/{name}.xml').read_text().count('<object>') for name in names)
    assert found['val'].counts.total() + found['val'].ignored == objects and found['val'].ignored
