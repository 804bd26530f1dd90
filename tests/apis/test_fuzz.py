"""Data of --data and the files of converters, changed at random: understood, or refused in one sentence."""
import contextlib
import copy
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicenet_mm.apis import check_data, load_config, use_data
from dicenet_mm.datasets.annotations import clean
from dicenet_mm.datasets.coco import read_coco
from dicenet_mm.datasets.files import read_json, read_xml
from dicenet_mm.datasets.voc import read_annotation
from dicenet_mm.datasets.yolo import read_rows
from dicenet_mm.edgenets import convert_edgenets
from dicenet_mm.errors import UserError
from tests.apis import test_user_yolo
from tests.data import make_coco, make_folders, make_pairs, make_voc

CONFIGS = Path(__file__).parents[2] / 'configs'
MORE = int(os.environ.get('DICENET_MM_EXAMPLES', 0))  # a longer run


def examples(count):
    return settings(max_examples=MORE or count, deadline=None, derandomize=not MORE, database=None,
                    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def one_sentence(error):
    text = str(error)
    assert len(text) < 3000 and '\n' not in text and 'Traceback' not in text, text


# annotation files of any content

NUMBERS = st.one_of(st.integers(-5, 5), st.integers(), st.floats(), st.sampled_from([1e308, -1e308, 2**31, 1e-320]))
VALUES = st.recursive(st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=6)),
                      lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(st.text(max_size=4), inner,
                                                                                          max_size=3)), max_leaves=8)


def mostly(*usual):
    return st.one_of(*[st.just(value) if not isinstance(value, st.SearchStrategy) else value for value in usual] * 4,
                     VALUES)


COCO = st.fixed_dictionaries(dict(
    images=mostly(st.lists(st.fixed_dictionaries(dict(
        id=mostly(0, 1, 2, '1'), file_name=mostly('a.jpg', 'b.jpg', '../c.jpg')), optional=dict(
            width=mostly(96), height=mostly(72))), max_size=4)),
    annotations=mostly(st.lists(st.fixed_dictionaries(dict(
        image_id=mostly(0, 1, 2), category_id=mostly(1, 2), bbox=mostly(st.lists(NUMBERS, min_size=4, max_size=4))),
        optional=dict(area=VALUES, iscrowd=VALUES, ignore=VALUES)), max_size=6)),
    categories=mostly(st.lists(st.fixed_dictionaries(dict(id=mostly(1, 2, '2'), name=mostly('a', 'b'))),
                               max_size=4))))


@examples(150)
@given(content=COCO)
def test_coco(content, tmp_path):
    file = tmp_path / 'a.json'
    file.write_text(json.dumps(content))
    os.utime(file, ns=(test_coco.calls, ) * 2)  # or what was read before is given again
    test_coco.calls += 10**9
    try:
        found = read_coco(file)
        found.sizes[:] = np.where(found.sizes > 0, found.sizes, 50)
        for training in (True, False):
            usable, _ = clean(found, training)
            assert np.isfinite(usable.boxes).all() and (usable.boxes[:, 2:] >= usable.boxes[:, :2]).all()
            assert len(usable.boxes) == len(usable.label) == len(usable.image) == len(usable.area)
            assert ((usable.image >= 0) & (usable.image < len(usable.names))).all()
            assert ((usable.label >= 0) & (usable.label < len(usable.classes))).all()
    except UserError as error:
        one_sentence(error)


test_coco.calls = 10**18

WHOLE_XML = (b'<annotation><size><width>96</width><height>72</height><depth>3</depth></size><object><name>car</name>'
             b'<difficult>0</difficult><bndbox><xmin>3</xmin><ymin>4</ymin><xmax>30</xmax><ymax>40</ymax></bndbox>'
             b'</object></annotation>')
READERS = {
    'xml': (WHOLE_XML, lambda path: (read_xml(path), read_annotation(path))),
    'json': (b'{"images": [{"id": 1}], "a": [1.5, null, "\\u00e4"]}', read_json),
    'txt': (b'0 0.5 0.5 0.2 0.3\n1 0.1 0.1 0.4 0.1 0.4 0.3\n', read_rows),
}


@examples(150)
@given(kind=st.sampled_from(sorted(READERS)), data=st.data())
def test_changed_bytes_of_annotations(kind, data, tmp_path):
    content, read = READERS[kind]
    content = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4), 'changes')):
        place = data.draw(st.integers(0, len(content)), 'place')
        content[place:place + data.draw(st.integers(0, 9), 'removed')] = data.draw(st.one_of(
            st.binary(max_size=4), st.sampled_from([b'9' * 400, b'-', b'nan', b'1e999', b'<', b'\xff\xfe', b'\0',
                                                    b'[' * 9999, b'<!ENTITY a "b">'])), 'new')
    (tmp_path / f'a.{kind}').write_bytes(content)
    try:
        read(str(tmp_path / f'a.{kind}'))
    except UserError as error:
        one_sentence(error)


# whole folders

SSD = load_config(str(CONFIGS / 'ssd_dicenet_300_small_data.py'), {'train_dataloader.batch_size': 2})
LAYOUTS = {
    'coco': (SSD, lambda root: make_coco(root, dict(train=8, val=4))),
    'voc': (SSD, lambda root: make_voc(root, dict(train=8, val=4))),
    'yolo': (SSD, lambda root: test_user_yolo.data_yaml(test_user_yolo.make(root), train='images/train',
                                                       val='images/val')),
    'folders': (load_config(str(CONFIGS / 'classification_dicenet_small_data.py'), {'train_dataloader.batch_size': 2}),
                lambda root: [make_folders(root / split, dict(a=3, b=4)) for split in ('train', 'val')]),
    'masks': (load_config(str(CONFIGS / 'espnetv2_dicenet_256_voc12aug.py'), {'train_dataloader.batch_size': 2}),
              lambda root: make_pairs(root / 'images', root / 'masks', [f'{index}' for index in range(12)])),
}


@pytest.fixture(scope='module')
def layouts(tmp_path_factory):
    folder = tmp_path_factory.mktemp('layouts')
    for name, (_, make) in LAYOUTS.items():
        (folder / name).mkdir()
        make(folder / name)
    return folder


def change(data, root):
    """One thing that happens to a folder of data."""
    entries = sorted(root.rglob('*'))
    path = entries[data.draw(st.integers(0, len(entries) - 1), 'entry')]
    files = [entry for entry in entries if entry.is_file()]
    other = files[data.draw(st.integers(0, len(files) - 1), 'other')]
    what = data.draw(st.sampled_from(['remove', 'rename', 'empty', 'copy', 'spoil', 'link', 'folder']), 'what')
    if what == 'remove':
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    elif what == 'rename':
        path.rename(path.with_name(data.draw(st.sampled_from(
            ['x', 'Train', 'val.txt', 'ä b.jpg', '.hidden', 'a.PNG']), 'name')))
    elif what == 'empty':
        other.write_bytes(b'')
    elif what == 'copy':
        other.write_bytes(files[0].read_bytes())
    elif what == 'spoil':
        content = bytearray(other.read_bytes())
        place = data.draw(st.integers(0, len(content)), 'place')
        content[place:place + data.draw(st.integers(0, 60), 'removed')] = data.draw(st.binary(max_size=9), 'new')
        other.write_bytes(content)
    elif what == 'link':
        path.with_name('link').symlink_to(data.draw(st.sampled_from(['nowhere', '..', '.', '/etc', str(root)])))
    else:
        other.unlink()
        other.mkdir()


@examples(60)
@given(name=st.sampled_from(sorted(LAYOUTS)), data=st.data())
def test_changed_folders(name, data, layouts, tmp_path):
    root = tmp_path / 'data'
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(layouts / name, root)
    for _ in range(data.draw(st.integers(1, 3), 'changes')):
        if any(entry.is_file() for entry in root.rglob('*')):
            with contextlib.suppress(OSError):  # no such change here
                change(data, root)
    cfg = copy.deepcopy(LAYOUTS[name][0])
    cfg.work_dir = str(tmp_path / 'work')
    try:
        use_data(cfg, str(root), ['train', 'val'])
        contents = check_data(cfg, ['train', 'val'], thorough=True)
        assert contents['train'].images > 0
    except UserError as error:
        one_sentence(error)


# converters

NAMES = [
    'level1.conv.weight', 'level1.bn.weight', 'level2.0.left_layer.conv_channel.weight', 'cls_layers.0.weight',
    'level3_0.spp_dw.0.conv.weight', 'classifier.0.weight', 'classifier.2.weight', 'loc_layers.0.bias', 'a', '',
    'module.base_net.level2_0.act.weight', 'level2.1.layer_right.1.conv_height.weight', 'x.conv_channel.y',
    'level2.0.right_layer.1.br_act.br.0.weight', 'eff_pool_16x16.merge_layer.3.weight']


@examples(150)
@given(st.dictionaries(st.sampled_from(NAMES), st.lists(st.integers(0, 7), max_size=5), max_size=9))
def test_converter(shapes):
    try:
        weights, found = convert_edgenets({name: torch.zeros(shape) for name, shape in shapes.items()})
        assert all(isinstance(value, torch.Tensor) for value in weights.values()) and found['backbone']
    except UserError as error:
        one_sentence(error)
