import json
import shutil
import sys
from pathlib import Path

import pytest

from dicenet_mm.apis import check_data, load_config
from dicenet_mm.errors import UserError
from tests.data import make_coco, make_voc

CONFIGS = Path(__file__).parents[2] / 'configs'
COCO = 'data/coco/annotations/instances_train2017.json'
VAL = COCO.replace('train', 'val')
VOC = 'data/VOCdevkit/VOC2007'


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with small COCO and VOC folders where the configurations look for them."""
    monkeypatch.chdir(tmp_path)
    make_coco('data/coco', dict(train2017=6, val2017=2))
    make_voc('data/VOCdevkit', dict(trainval=4, test=2), years=('VOC2007', 'VOC2012'))
    return tmp_path


def load(name, **options):
    classes = dict(classes=('person', 'car'))
    cfg = load_config(str(CONFIGS / name), {'train_dataloader.batch_size': 4, **options})
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        for dataset in loader.dataset.get('datasets', [loader.dataset]):
            dataset.setdefault('metainfo', classes)
    return cfg


def coco(**options):
    return load('ssd_dicenet_300_coco.py', **options)


def voc(**options):
    return load('ssd_dicenet_300_voc0712.py', **options)


def change(path, edit):
    content = json.loads(Path(path).read_text())
    edit(content)
    Path(path).write_text(json.dumps(content))


@pytest.mark.parametrize('make,images', [(coco, (6, 2)), (voc, (8, 2))])
def test_good_data_is_counted(make, images, folder):
    found = check_data(make())
    assert (found['train'].images, found['val'].images) == images
    assert found['train'].counts == {0: images[0], 1: images[0]}
    assert 'test' in check_data(make(), ['test'])


def test_what_the_metric_and_the_loop_leave_out_is_not_looked_at(folder):
    cfg = coco()
    cfg.val_dataloader = None
    shutil.rmtree('data/coco/val2017')
    assert list(check_data(cfg)) == ['train']


def test_large_files_are_left_to_training(folder, monkeypatch):
    monkeypatch.setattr(sys.modules[check_data.__module__], 'LARGE', 100)
    assert check_data(coco(), ['train'])['train'].images == 0
    assert check_data(coco(), ['train'], thorough=True)['train'].images == 6


def test_processes_share_the_images(folder, monkeypatch):
    monkeypatch.setenv('WORLD_SIZE', '2')
    cfg = coco()
    check_data(cfg)
    cfg.launcher = 'pytorch'
    with pytest.raises(UserError, match='3 training images for each process do not fill a batch of 4'):
        check_data(cfg)


def test_an_endless_sampler_fills_any_batch(folder):
    options = {'train_dataloader.batch_size': 8, 'train_dataloader.sampler.type': 'InfiniteSampler'}
    assert check_data(coco(**options))['train'].images == 6


def test_a_frozen_ssd_takes_single_images(folder):
    check_data(coco(**{'model.norm_eval': True, 'train_dataloader.batch_size': 1}))


def test_a_few_missing_images_are_left_to_training(folder):
    make_coco('data/coco', dict(train2017=40, val2017=2))
    for index in (3, 7):
        Path(f'data/coco/train2017/{index:012d}.jpg').unlink()
    assert check_data(coco())['train'].images == 40


def unlink(*paths):
    for path in paths:
        Path(path).unlink()


@pytest.mark.parametrize('make,spoil,message', [
    # what is missing
    (coco, lambda: shutil.rmtree('data'), 'there is no folder {here}/data/coco (data_root of train_dataloader): lay '
     'out the data as docs/data.md shows, or use data of your own with --data DIR'),
    (voc, lambda: shutil.rmtree('data/VOCdevkit/VOC2012'),
     'there is no folder {here}/data/VOCdevkit/VOC2012 (data_prefix.sub_data_root of train_dataloader)'),
    (coco, lambda: unlink(COCO), 'there is no annotation file {here}/' + COCO + ' (ann_file of train_dataloader)'),
    (voc, lambda: unlink(f'{VOC}/ImageSets/Main/test.txt'),
     'there is no annotation file {here}/' + VOC + '/ImageSets/Main/test.txt (ann_file of val_dataloader)'),
    (coco, lambda: shutil.rmtree('data/coco/val2017'), '{here}/data/coco/val2017 (data_prefix.img of val_dataloader)'),
    (coco, lambda: unlink(*Path('data/coco/train2017').glob('*1.jpg')),
     f'1 of the 6 images of {COCO} are missing: data/coco/train2017/000000000001.jpg; put them there'),
    (coco, lambda: unlink(*Path('data/coco/val2017').glob('*7.jpg')), '1 of the 2 images of data/coco/annotations'),
    (voc, lambda: unlink(f'{VOC}/Annotations/000001.xml'),
     f'there is no annotation {VOC}/Annotations/000001.xml: each name in a list'),
    # what cannot be read
    (coco, lambda: Path(COCO).write_text('{"images": ['), f'{COCO} cannot be read as JSON'),
    (voc, lambda: Path(f'{VOC}/Annotations/000001.xml').write_text('<annotation>'),
     f'{VOC}/Annotations/000001.xml cannot be read as XML'),
    # what is empty
    (coco, lambda: change(COCO, lambda c: c.update(images=[], annotations=[])), f'{COCO} lists no images'),
    (coco, lambda: change(COCO, lambda c: c.update(annotations=[])), f'{COCO} leaves no image to use'),
    (voc, lambda: Path(f'{VOC}/ImageSets/Main/trainval.txt').write_text(''),
     f'{VOC}/ImageSets/Main/trainval.txt leaves no image to use'),
    # what does not fit
    (coco, lambda: change(COCO, lambda c: c.update(categories=[dict(id=1, name='cat'), dict(id=2, name='dog')])),
     f'no box in {COCO} has a class of this configuration: it has person, car, the annotations cat, dog'),
    # what neither trains nor counts
    (coco, lambda: change(COCO, lambda c: [entry.update(iscrowd=1) for entry in c['annotations']]),
     f'no box in {COCO} can be trained on: 12 are difficult objects or crowds'),
    (coco, lambda: change(COCO, lambda c: [entry.update(bbox=[9, 9, 0, 9]) for entry in c['annotations']]),
     f'12 of the 12 boxes of {COCO} cannot be used, more than 25%: they have no area inside their image'),
    (coco, lambda: change(COCO, lambda c: [entry.update(bbox=[.1, .2, .5, .5]) for entry in c['annotations']]),
     f'the boxes of {COCO} are shares of the image, from 0 to 1 (the first is [0.1, 0.2, 0.6, 0.7]): multiply them'),
    (coco, lambda: change(VAL, lambda c: [entry.update(iscrowd=1) for entry in c['annotations']]),
     f'no box in {VAL} counts: 4 are difficult objects or crowds'),
    (coco, lambda: change(VAL, lambda c: c.update(annotations=[])), f'no box in {VAL} counts: its 2 images have none'),
    (voc, lambda: [path.write_text(path.read_text().replace('<difficult>0', '<difficult>1'))
                   for path in Path('data/VOCdevkit').glob('*/Annotations/*')], 'no box in data/VOCdevkit/VOC2007'),
])
def test_bad_data(make, spoil, message, folder):
    spoil()
    with pytest.raises(UserError) as stop:
        check_data(make())
    assert message.format(here=folder) in str(stop.value)
    assert '\n' not in str(stop.value)


@pytest.mark.parametrize('options,message', [
    ({'train_dataloader.batch_size': 7}, '6 training images do not fill a batch of 7, and train_dataloader.drop_last '
     'takes only full ones: set train_dataloader.batch_size to 6 or less (--cfg-options train_dataloader.batch_size=6'),
    ({'train_dataloader.batch_size': 1}, 'SSD cannot train on a batch of one image'),
    ({'train_dataloader.batch_size': 5, 'train_dataloader.drop_last': False}, 'the last batch of 6 images in batches '
     'of 5 has one: set train_dataloader.drop_last=True'),
    ({'model.bbox_head.num_classes': 1}, 'has 2 classes (person, car), but SSDHead has num_classes=1: set it to 2'),
])
def test_bad_settings(options, message, folder):
    with pytest.raises(UserError) as stop:
        check_data(coco(**options))
    assert message in str(stop.value)
