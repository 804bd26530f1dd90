"""Data as people have it: what is trained on, counted and measured with is one set of boxes, the right one.

Perfect predictions score exactly 1 in each of these. The images of each split have a level of grey of their own, so
that one split cannot be taken for the other.
"""
import copy
import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import DATASETS, METRICS
from mmengine.structures import InstanceData

from dicenet_mm.apis import check_data, load_config, use_data
from dicenet_mm.apis.options import hand_down
from dicenet_mm.errors import UserError

BASE = load_config(str(Path(__file__).parents[2] / 'configs/ssd_dicenet_300_small_data.py'),
                   {'train_dataloader.batch_size': 2})
BOXES = [('bolt', [10, 12, 40, 50]), ('nut', [30, 20, 80, 60])]  # in each image of 96x72 px
LEVELS = dict(train=40, val=120, test=200)


def image(path, level, size=(96, 72)):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((size[1], size[0], 3), level, np.uint8))


def content(count, name='{:06d}.png', first=0):
    """A COCO file of images with two boxes each."""
    images = [dict(id=index, file_name=name.format(index), width=96, height=72)
              for index in range(first, first + count)]
    annotations = [dict(id=2 * index + label, image_id=index, category_id=label + 1, iscrowd=0,
                        bbox=[box[0], box[1], box[2] - box[0], box[3] - box[1]],
                        area=(box[2] - box[0]) * (box[3] - box[1]))
                   for index in range(first, first + count) for label, (_, box) in enumerate(BOXES)]
    return dict(images=images, annotations=annotations, categories=[dict(id=1, name='bolt'), dict(id=2, name='nut')])


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text if isinstance(text, str) else json.dumps(text))


def read(tmp_path, folder, options=None, splits=('train', 'val')):
    """What ``tools/train.py --data`` does before it makes a model; the configuration, and what was found."""
    cfg = copy.deepcopy(BASE)
    cfg.work_dir = str(tmp_path / 'work')
    cfg.merge_from_dict(hand_down(cfg, options or {}))
    notes = use_data(cfg, str(folder), splits)
    return cfg, notes, check_data(cfg, splits, thorough=True)


def score(cfg, split='val'):
    """The mAP of perfect predictions, and the mean level of grey of the images."""
    dataset = DATASETS.build(dict(cfg[f'{split}_dataloader'].dataset, serialize_data=False))
    metric = METRICS.build(cfg[f'{split}_evaluator'])
    metric.dataset_meta = dataset.metainfo
    levels = []
    for index in range(len(dataset)):
        found = dataset.get_data_info(index)['instances']
        sample = dataset[index]['data_samples']
        sample.pred_instances = InstanceData(
            bboxes=torch.tensor([entry['bbox'] for entry in found]).float().reshape(-1, 4),
            labels=torch.tensor([entry['bbox_label'] for entry in found]).long(), scores=torch.ones(len(found)))
        metric.process(None, [sample.to_dict()])
        levels.append(cv2.imread(sample.img_path).mean())
    got = metric.evaluate(len(dataset))
    return got.get('coco/bbox_mAP', got.get('pascal_voc/mAP')), levels


# both splits have images of the same names

SAME_NAMES = {  # JSON file, folder of images, for train and val
    'train and valid': ('annotations/instances_{0}.json', '{1}'),
    'images below': ('annotations/{0}.json', '{0}/images'),
    'splits below': ('annotations/instances_{0}2017.json', 'images/{0}2017'),
    'Roboflow': ('{1}/_annotations.coco.json', '{1}'),
    'FiftyOne': ('{0}/labels.json', '{0}/data'),
    'JSON beside folders': ('{0}.json', '{0}'),
    'in a folder': ('mine/annotations/{0}.json', 'mine/{1}/pictures'),
    'annotations in each': ('{0}/annotations/instances.json', '{0}/images'),
    'annotations of each': ('annotations/{0}/instances.json', 'data/images/{0}'),
    'capitals': ('annotations/instances_{0}.json', '{2}Images'),
    'named in the JSON': ('annotations/instances_{3}_{0}.json', '{3}'),
}


@pytest.mark.parametrize('layout', SAME_NAMES)
def test_same_names_in_both_splits(layout, tmp_path):
    json_file, folder = SAME_NAMES[layout]
    for split, count, *words in (('train', 6, 'train', 'Train', 'north'), ('val', 3, 'valid', 'Validation', 'south')):
        write(tmp_path / 'mine' / json_file.format(split, *words), content(count))
        for index in range(count):
            image(tmp_path / 'mine' / folder.format(split, *words) / f'{index:06d}.png', LEVELS[split])
    cfg, _, found = read(tmp_path, tmp_path / 'mine')
    assert (found['train'].images, found['val'].images) == (6, 3)
    assert score(cfg) == (1, [LEVELS['val']] * 3)
    cfg.train_evaluator = cfg.val_evaluator
    cfg.train_dataloader.dataset.update(test_mode=True, pipeline=cfg.val_dataloader.dataset.pipeline)
    assert score(cfg, 'train') == (1, [LEVELS['train']] * 6)


def test_a_missing_image_does_not_send_a_split_to_the_other(tmp_path):
    for split, count in (('train', 6), ('val', 3)):
        write(tmp_path / f'mine/annotations/{split}.json', content(count))
        for index in range(count - (split == 'val')):
            image(tmp_path / f'mine/{split}/{index:06d}.png', LEVELS[split])
    with pytest.raises(UserError, match='1 of the 3 images of .*val.json are missing: .*mine/val/000002.png'):
        read(tmp_path, tmp_path / 'mine')


def test_images_that_nothing_tells_apart_are_refused(tmp_path):
    for split, folder in (('train', 'a'), ('val', 'b')):
        write(tmp_path / f'mine/annotations/{split}.json', content(3))
        for index in range(3):
            image(tmp_path / f'mine/{folder}/{index:06d}.png', LEVELS[split])
    with pytest.raises(UserError, match='may be those in .*mine/a or in .*mine/b, which have files of the same names'):
        read(tmp_path, tmp_path / 'mine')
    shutil.rmtree(tmp_path / 'mine/b')  # and there is only one of the two folders
    other = content(3)
    for entry in other['annotations']:
        entry['bbox'][0] += 9
    write(tmp_path / 'mine/annotations/val.json', other)
    with pytest.raises(UserError, match='annotate the same images of .*mine/a with different boxes: the images of val'):
        read(tmp_path, tmp_path / 'mine')


# COCO files of any tool

def each(kind, **values):
    return lambda d: [entry.update({key: value(entry) if callable(value) else value for key, value in values.items()})
                      for entry in d[kind]] and None


def renumber(new):
    """Other ids of the images."""
    def change(d):
        ids = {entry['id']: new(entry['id']) for entry in d['images']}
        each('images', id=lambda entry: ids[entry['id']])(d)
        each('annotations', image_id=lambda entry: ids[entry['image_id']])(d)
    return change


def recategorise(new):
    def change(d):
        each('categories', id=lambda entry: new[entry['id'] - 1])(d)
        each('annotations', category_id=lambda entry: new[entry['category_id'] - 1])(d)
    return change


def list_files_twice(d):
    """An entry of ``images`` for each box, as some converters write them."""
    d['images'] = [dict(d['images'][entry['image_id'] - d['images'][0]['id']], id=1000 + number)
                   for number, entry in enumerate(d['annotations'])]
    each('annotations', image_id=lambda entry: 1000 + d['annotations'].index(entry))(d)


def list_images_twice(d):
    d['images'] += [dict(entry) for entry in d['images']]


def first_box(**values):
    return lambda d: d['annotations'][0].update(values)


def double_first(d):
    d['annotations'].insert(0, dict(d['annotations'][0], id=999))


GOOD = {  # a change of the file, and the boxes that are left of six
    'annotation ids from 0': (each('annotations', id=lambda entry: entry['id']), 6),
    'one annotation id': (each('annotations', id=7), 6),
    'no annotation ids': (lambda d: [entry.pop('id') for entry in d['annotations']], 6),
    'annotation ids of letters': (each('annotations', id=lambda entry: f'{entry["id"]:08x}-1b'), 6),
    'negative image ids': (renumber(lambda index: -index - 1), 6),
    'image ids of letters': (renumber(lambda index: f'{index:08x}-aa'), 6),
    'image ids with a point': (renumber(lambda index: index + 0.5), 6),
    'image ids as text': (each('images', id=lambda entry: str(entry['id'])), 6),
    'large image ids': (renumber(lambda index: 10**25 + index), 6),
    'files listed twice': (list_files_twice, 6),
    'images listed twice': (list_images_twice, 6),
    'category ids from 0': (recategorise([0, 1]), 6),
    'category ids in another order': (recategorise([9, -3]), 6),
    'category ids of letters': (recategorise(['a', 'b']), 6),
    'area 0': (each('annotations', area=0), 6),
    'area null': (each('annotations', area=None), 6),
    'area as text': (each('annotations', area='1140.5'), 6),
    'no area': (lambda d: [entry.pop('area') for entry in d['annotations']], 6),
    'iscrowd null': (each('annotations', iscrowd=None), 6),
    'iscrowd false': (each('annotations', iscrowd=False), 6),
    'iscrowd as text': (each('annotations', iscrowd='0'), 6),
    'no iscrowd': (lambda d: [entry.pop('iscrowd') for entry in d['annotations']], 6),
    'boxes as text': (each('annotations', bbox=lambda entry: [str(side) for side in entry['bbox']]), 6),
    'sizes as text': (each('images', width='96', height='72'), 6),
    'sizes null': (each('images', width=None, height=None), 6),
    'sizes 0': (each('images', width=0, height=0.), 6),
    'no sizes': (lambda d: [entry.pop('width') for entry in d['images']], 6),
    'backslashes': (each('images', file_name=lambda entry: f'.\\{entry["file_name"]}'), 6),
    'blanks in names of classes': (each('categories', name=lambda entry: f' {entry["name"]}\u200b\n'), 6),
    'one crowd': (first_box(iscrowd=1), 5),
    'a box half outside': (first_box(bbox=[80, 60, 500, 500]), 6),
    'a box far outside': (first_box(bbox=[200, 10, 20, 20]), 5),
    'a box without a width': (first_box(bbox=[20, 10, 0, 20]), 5),
    'a box of half a pixel': (first_box(bbox=[20, 10, 0.5, 20]), 6),
    'a negative width': (first_box(bbox=[40, 50, -30, -38]), 6),
    'not a number': (first_box(bbox=[float('nan'), 10, 5, 20]), 5),
    'infinite': (first_box(bbox=[20, 10, float('inf'), 20]), 5),
    'huge': (first_box(bbox=[-1e300, -1e300, 2e300, 2e300]), 6),
    'one box twice': (double_first, 6),
    'an undefined category': (first_box(category_id=77), 5),
}


@pytest.mark.parametrize('case', GOOD)
def test_coco_of_any_tool(case, tmp_path):
    change, left = GOOD[case]
    for split, first in (('train', 0), ('val', 6)):
        made = content(6 if split == 'train' else 3, first=first)
        change(made)
        write(tmp_path / f'mine/annotations/{split}.json', made)
    for index in range(9):
        image(tmp_path / f'mine/images/{index:06d}.png', LEVELS['train' if index < 6 else 'val'])
    cfg, _, found = read(tmp_path, tmp_path / 'mine')
    assert found['val'].counts.total() == left
    assert found['train'].counts.total() == left + 6 - (case == 'a box of half a pixel')  # too small to train on
    assert list(found['train'].classes) == (['nut', 'bolt'] if case == 'category ids in another order' else
                                            ['bolt', 'nut'])
    assert score(cfg) == (1, [LEVELS['val']] * 3)


BAD = {
    'one id of two files': (renumber(lambda index: index // 2), 'the same id, .*, so their boxes cannot be told apart'),
    'one id of two classes': (lambda d: d['categories'][1].update(id=1), 'the classes bolt and nut the same id, 1'),
    'no name': (lambda d: d['categories'][1].update(name=' \u200b'), r'categories\[1\] has no name'),
    'a list as name': (lambda d: d['categories'][1].update(name=['nut']), r'categories\[1\] has no name'),
    'file_name null': (lambda d: d['images'][1].update(file_name=None), 'the file_name of image 1 is None, not'),
    'shares': (each('annotations', bbox=[.1, .2, .3, .4]), 'are shares of the image, from 0 to 1'),
    'all crowds': (each('annotations', iscrowd=True), 'can be trained on: 12 are difficult objects or crowds'),
    'no area': (each('annotations', bbox=[5, 5, 0, 9]), '12 of the 12 boxes of .* cannot be used, more than 25%'),
    'undefined classes': (each('annotations', category_id=9), 'have classes that it does not define'),
    'out of the folder': (lambda d: d['images'][0].update(file_name='../../a.png'), 'leads to .*a.png, which is out'),
}


@pytest.mark.parametrize('case', BAD)
def test_coco_that_is_refused(case, tmp_path):
    change, message = BAD[case]
    for split, first in (('train', 0), ('val', 6)):
        made = content(6 if split == 'train' else 3, first=first)
        if split == 'train':
            change(made)
        write(tmp_path / f'mine/annotations/{split}.json', made)
    for index in range(9):
        image(tmp_path / f'mine/images/{index:06d}.png', 0)
    image(tmp_path / 'a.png', 0)
    with pytest.raises(UserError, match=message) as stop:
        read(tmp_path, tmp_path / 'mine')
    assert '\n' not in str(stop.value) and len(str(stop.value)) < 700


def test_each_class_is_held_out(tmp_path):
    """Of 40 images, two show an axle."""
    made = content(40)
    made['categories'].append(dict(id=3, name='axle'))
    made['annotations'] += [dict(image_id=index, category_id=3, bbox=[5, 5, 9, 9]) for index in (17, 31)]
    write(tmp_path / 'mine/labels.json', made)
    for index in range(40):
        image(tmp_path / f'mine/{index:06d}.png', index)
    cfg, _, found = read(tmp_path, tmp_path / 'mine')
    assert (found['train'].images, found['val'].images) == (36, 4)
    assert found['train'].counts == {0: 36, 1: 36, 2: 1} and found['val'].counts == {0: 4, 1: 4, 2: 1}
    assert score(cfg)[0] == 1


# VOC files of any tool

def xml(index, difficult='<difficult>0</difficult>', size='<width>96</width><height>72</height>'):
    objects = ''.join(f'<object><name>{name}</name>{difficult}<bndbox><xmin>{box[0] + 1}</xmin>'
                      f'<ymin>{box[1] + 1}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>'
                      for name, box in BOXES)
    return f'<annotation><filename>{index}.png</filename><size>{size}</size>{objects}</annotation>'


VOC = {  # where XML files and images are, and how many are trained and validated on
    'without lists': ('Annotations/{1}.xml', 'JPEGImages/{1}.png', (18, 2)),
    'images': ('annotations/{1}.xml', 'images/{1}.png', (18, 2)),
    'annotations below': ('annotations/xmls/{1}.xml', 'images/{1}.png', (18, 2)),
    'capital suffix': ('Annotations/{1}.XML', 'JPEGImages/{1}.PNG', (18, 2)),
    'folders of XML files': ('Annotations/day{2}/{1}.xml', 'JPEGImages/{1}.png', (18, 2)),
    'folders of both': ('Annotations/day{2}/{2}.xml', 'JPEGImages/day{2}/{2}.png', None),
    'Roboflow': ('{0}/{1}.xml', '{0}/{1}.png', (14, 6)),
    'labelImg': ('{1}.xml', '{1}.png', (18, 2)),
    'labelImg in folders': ('day{2}/{1}.xml', 'day{2}/{1}.png', (18, 2)),
    'splits above': ('{0}/Annotations/{1}.xml', '{0}/JPEGImages/{1}.png', (14, 6)),
    'splits below': ('Annotations/{0}/{1}.xml', 'JPEGImages/{0}/{1}.png', (14, 6)),
}


@pytest.mark.parametrize('layout', VOC)
def test_voc_of_any_tool(layout, tmp_path):
    xmls, images, counts = VOC[layout]
    for index in range(20):
        split, level = ('train', LEVELS['train']) if index < 14 else ('valid', LEVELS['val'])
        write(tmp_path / 'mine' / xmls.format(split, f'{index:03d}', index % 2), xml(index))
        image(tmp_path / 'mine' / images.format(split, f'{index:03d}', index % 2), level)
    for litter in ('.DS_Store', '._000.png', 'Thumbs.db', 'notes.txt', 'classes.json'):
        write(tmp_path / 'mine' / Path(images.format('train', '', '')).parent / litter, '{"a": 1}')
    cfg, notes, found = read(tmp_path, tmp_path / 'mine')
    assert counts in (None, (found['train'].images, found['val'].images))
    assert found['train'].counts.total() == 2 * found['train'].images and not any('left out' in note for note in notes)
    got, levels = score(cfg)
    assert got == 1 and (counts != (14, 6) or levels == [LEVELS['val']] * 6)


TEXTS = {
    'difficult False': lambda text: text.replace('<difficult>0', '<difficult>False'),
    'difficult empty': lambda text: text.replace('<difficult>0', '<difficult>'),
    'no difficult': lambda text: text.replace('<difficult>0</difficult>', ''),
    'size with a point': lambda text: text.replace('<width>96', '<width>96.0'),
    'size None': lambda text: text.replace('<width>96', '<width>None'),
    'no size': lambda text: re.sub('<size>.*</size>', '', text),
    'corners in another order': lambda text: re.sub(r'<xmin>(\d+)(.*?)<xmax>(\d+)', r'<xmin>\3\2<xmax>\1', text),
    'corners with points': lambda text: re.sub(r'<(xm..|ym..)>(\d+)', r'<\1>\2.0', text),
    'blanks around a name': lambda text: text.replace('<name>bolt<', '<name>\n bolt\u00a0<'),
    'UTF-16': lambda text: text.encode('utf-16'),
    'byte order mark': lambda text: text.encode('utf-8-sig'),
    'declared': lambda text: ('<?xml version="1.0" encoding="GBK"?>' + text.replace('bolt', '螺栓')).encode('gbk'),
    'declared UTF-16': lambda text: '<?xml version="1.0" encoding="utf-16"?>' + text,
    'blank first line': lambda text: '\n<?xml version="1.0"?>' + text,
}


@pytest.mark.parametrize('case', TEXTS)
def test_voc_text(case, tmp_path):
    for index in range(12):
        made = TEXTS[case](xml(index))
        write(tmp_path / f'mine/Annotations/{index}.xml', '')
        (tmp_path / f'mine/Annotations/{index}.xml').write_bytes(made if isinstance(made, bytes) else made.encode())
        image(tmp_path / f'mine/JPEGImages/{index}.png', index)
    cfg, _, found = read(tmp_path, tmp_path / 'mine')
    assert found['train'].counts == {0: 11, 1: 11} and found['val'].counts == {0: 1, 1: 1}
    assert set(found['train'].classes) == ({'nut', '螺栓'} if case == 'declared' else {'bolt', 'nut'})
    assert score(cfg)[0] == 1


@pytest.mark.parametrize('text,message', [
    (xml(0).replace('<name>bolt', '<name> '), 'a.xml has an object without a name'),
    (xml(0).replace('bolt', 'Bär').encode('latin-1'), r'a.xml is not text in UTF-8 \(.*position .*\): save'),
    ('<!DOCTYPE a [<!ENTITY b "' + 'x' * 99 + '">]>' + xml(0), 'a.xml defines a document type or entities'),
    ('<!DOCTYPE a SYSTEM "file:///etc/passwd">' + xml(0), 'a.xml defines a document type or entities'),
    (xml(0)[:200], 'a.xml cannot be read as XML'),
    (xml(0).replace('<xmin>11', '<xmin>'), 'a.xml is not a VOC annotation'),
])
def test_voc_text_that_is_refused(text, message, tmp_path):
    for index in range(3):
        write(tmp_path / f'mine/Annotations/{index}.xml', xml(index))
        image(tmp_path / f'mine/JPEGImages/{index}.png', index)
    (tmp_path / 'mine/Annotations/a.xml').write_bytes(text if isinstance(text, bytes) else text.encode())
    image(tmp_path / 'mine/JPEGImages/a.png', 0)
    with pytest.raises(UserError, match=message):
        read(tmp_path, tmp_path / 'mine')


def test_images_without_xml_are_told(tmp_path):
    for index in range(12):
        write(tmp_path / f'mine/Annotations/{index}.xml', xml(index))
        image(tmp_path / f'mine/JPEGImages/{index}.png', index)
    image(tmp_path / 'mine/JPEGImages/more.png', 0)
    _, notes, _ = read(tmp_path, tmp_path / 'mine')
    assert any('1 of the 13 images in ' in note and 'no XML file and are left out: more.png' in note for note in notes)


@pytest.mark.parametrize('part', ['dataset', 'dataset.datasets.0'])
def test_options_of_the_filter_are_kept(part, tmp_path):
    """The configuration joins two years of VOC."""
    for index in range(20):
        text = re.sub('<object>.*</object>', '', xml(index)) if index % 2 else xml(index)
        write(tmp_path / f'mine/Annotations/{index}.xml', text)
        image(tmp_path / f'mine/JPEGImages/{index}.png', index)
    _, _, found = read(tmp_path, tmp_path / 'mine')
    assert found['train'].images + found['train'].images_left_out == 18 and found['train'].images_left_out >= 8
    _, _, found = read(tmp_path, tmp_path / 'mine', {f'train_dataloader.{part}.filter_cfg.filter_empty_gt': False})
    assert (found['train'].images, found['train'].images_left_out) == (18, 0)
