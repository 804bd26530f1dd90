"""YOLO's layout as it comes: data.yaml in its forms, folders, rows of every length."""
import json

import pytest
import yaml

from dicenet_mm.errors import UserError
from tests.apis.test_user_layouts import BOXES, LEVELS, image, read, score, write


def row(label, box, size=(96, 72)):
    x1, y1, x2, y2 = box
    return f'{label} {(x1 + x2) / 2 / size[0]} {(y1 + y2) / 2 / size[1]} {(x2 - x1) / size[0]} {(y2 - y1) / size[1]}'


def polygon(label, box, size=(96, 72)):
    """Five corners, the first of them twice."""
    x1, y1, x2, y2 = box[0] / size[0], box[1] / size[1], box[2] / size[0], box[3] / size[1]
    return f'{label} {x1} {y1} {x2} {y1} {x2} {y2} {x1} {y2} {x1} {y1}'


ROWS = '\n'.join(row(label, box) for label, (_, box) in enumerate(BOXES))


def make(root, images='images/{0}/{1}.png', labels='labels/{0}/{1}.txt', text=ROWS, splits=('train', 'val')):
    """Eight images to train on and three to validate on, the last of each without a label file."""
    for split, count in zip(splits, (8, 3)):
        for index in range(count):
            image(root / images.format(split, f'{index:03d}'), LEVELS['train' if split == splits[0] else 'val'])
            if index < count - 1:
                write(root / labels.format(split, f'{index:03d}'), text)
    return root


def data_yaml(root, name='data.yaml', **content):
    write(root / name, yaml.safe_dump(dict(names=['bolt', 'nut'], **content)))


def lists(root):
    """Files of lists, of which one has absolute paths."""
    for split, base in (('train', './'), ('val', f'{root}/')):
        names = sorted(path.relative_to(root) for path in (root / f'images/{split}').iterdir())
        write(root / f'{split}.txt', '\n'.join(f'{base}{name}' for name in names) + '\n\n')
    data_yaml(root, train='train.txt', val='val.txt')


FORMS = {
    'folders': lambda root: data_yaml(root, train='images/train', val='images/val'),
    'path': lambda root: data_yaml(root, path='.', train='images/train', val='images/val'),
    'absolute path': lambda root: data_yaml(root, path=str(root), train='images/train', val='images/val'),
    'path that was': lambda root: data_yaml(root, path='/home/me/mine', train='images/train', val='images/val'),
    'path from above': lambda root: data_yaml(root, path='../datasets/mine', train='images/train', val='images/val'),
    'a list of folders': lambda root: data_yaml(root, train=['images/train'], val=['images/val']),
    'lists': lists,
    'names by number': lambda root: write(root / 'dataset.yml', 'names: {1: nut, 0: bolt}\ntrain: images/train\n'
                                                                'val: images/val\nnc: 2\n'),
    'valid': lambda root: data_yaml(root, 'mine.yaml', train='images\\train', valid='images\\val'),
    'no data.yaml': lambda root: write(root / 'classes.txt', 'bolt\nnut\n'),
    'classes in labels': lambda root: write(root / 'labels/train/classes.txt', 'bolt\nnut\n'),
}


@pytest.mark.parametrize('form', FORMS)
def test_forms_of_data_yaml(form, tmp_path):
    FORMS[form](make(tmp_path / 'mine'))
    cfg, notes, found = read(tmp_path, tmp_path / 'mine')
    assert found['train'].classes == ('bolt', 'nut') and found['train'].counts == {0: 7, 1: 7}
    assert (found['val'].images, found['val'].counts) == (3, {0: 2, 1: 2})
    assert any('2 of the 11 images have no label file and count as showing nothing' in note for note in notes)
    assert score(cfg) == (1, [LEVELS['val']] * 3)


LAYOUTS = {
    'Roboflow': ('{0}/images/{1}.jpg', '{0}/labels/{1}.txt', ('train', 'valid')),
    'Label Studio': ('images/{0}-{1}.jpg', 'labels/{0}-{1}.txt', ('a', 'b')),
    'CVAT': ('obj_train_data/{0}{1}.png', 'obj_train_data/{0}{1}.txt', ('a', 'b')),
    'beside each other': ('{0}{1}.png', '{0}{1}.txt', ('a', 'b')),
}


@pytest.mark.parametrize('layout', LAYOUTS)
def test_layouts_of_tools(layout, tmp_path):
    images, labels, splits = LAYOUTS[layout]
    root = make(tmp_path / 'mine', images, labels, splits=splits)
    if layout == 'Roboflow':
        data_yaml(root, train='../train/images', val='../valid/images', test='../test/images', nc=2)
        make(root, images, labels, splits=('test',))
    else:
        write(root / ('obj.names' if layout == 'CVAT' else 'classes.txt'), 'bolt\nnut\n')
        write(root / 'notes.json', json.dumps(dict(categories=[dict(id=0, name='bolt')], info={})))
    cfg, _, found = read(tmp_path, root)
    assert found['train'].counts.total() + found['val'].counts.total() == 18
    assert found['val'].images == (3 if layout == 'Roboflow' else 1)
    got, levels = score(cfg)
    assert got == 1 and (layout != 'Roboflow' or levels == [LEVELS['val']] * 3)


TEXTS = {
    'six numbers': '\n'.join(f'{row(label, box)} 0.9' for label, (_, box) in enumerate(BOXES)),
    'polygons': '\n'.join(polygon(label, box) for label, (_, box) in enumerate(BOXES)),
    'commas': ROWS.replace(' ', ', '),
    'class with a point': ROWS.replace('\n1 ', '\n1.0 '),
    'blank lines': f'\n{ROWS}\n\n  \n',
    'Windows': '\ufeff' + ROWS.replace('\n', '\r\n'),
    'twice': f'{ROWS}\n{ROWS}',
}


@pytest.mark.parametrize('case', TEXTS)
def test_rows(case, tmp_path):
    data_yaml(make(tmp_path / 'mine', text=TEXTS[case]), train='images/train', val='images/val')
    cfg, _, found = read(tmp_path, tmp_path / 'mine')
    assert found['train'].counts == {0: 7, 1: 7}
    assert score(cfg)[0] == 1


def test_rows_of_unknown_classes_are_counted_and_key_points_left_out(tmp_path):
    text = '\n'.join(f'{row(label, box)} 0.5 0.5 2 0.1 0.1 1' for label, (_, box) in enumerate(BOXES))
    root = make(tmp_path / 'mine', text=text)
    data_yaml(root, train='images/train', val='images/val', kpt_shape=[2, 3])
    write(root / 'labels/train/000.txt', f'{text}\n9 .5 .5 .1 .1\n-1 .5 .5 .1 .1')
    cfg, _, found = read(tmp_path, root)
    assert found['train'].counts == {0: 7, 1: 7} and found['train'].left_out == 2
    assert score(cfg)[0] == 1


@pytest.mark.parametrize('spoil,message', [
    (lambda root: write(root / 'labels/train/001.txt', '0 .5 .5 .1'), r"001.txt, line 1: '0 .5 .5 .1' is no object of"),
    (lambda root: write(root / 'labels/train/001.txt', f'{ROWS}\nbolt .5 .5 .1 .1'), '001.txt, line 3: .* is no'),
    (lambda root: [path.write_text('0 50 40 30 20') for path in (root / 'labels/train').iterdir()],
     "7 of the 7 boxes of .* lie outside of their images, as in .*000.txt: YOLO's numbers are shares"),
    (lambda root: [path.write_text('5 .5 .4 .3 .2') for path in (root / 'labels/train').iterdir()],
     r'7 of the 7 boxes of .* have classes that it does not define \(class 5\)'),
    (lambda root: [path.write_text('') for path in (root / 'labels/train').iterdir()], 'leaves no image to use'),
    (lambda root: data_yaml(root, train='images/trian', val='images/val'), r'data.yaml: there is no .*trian \(train\)'),
    (lambda root: data_yaml(root, train='images/train', val='images/val', nc=3), 'has 2 names, but nc is 3'),
    (lambda root: data_yaml(root, train=3, val='images/val'), "train is '3', not the path"),
    (lambda root: write(root / 'data.yaml', 'names: {0: a, 2: b}\ntrain: images/train'), 'names has the numbers 0, 2'),
    (lambda root: write(root / 'data.yaml', 'names: [a, " "]\ntrain: images/train'), 'class 1 has no name'),
    (lambda root: write(root / 'data.yaml', 'names: [a\ntrain: ]:'), 'data.yaml cannot be read as YAML'),
    (lambda root: write(root / 'data.yaml', 'names: !!python/object/apply:os.system [ls]\ntrain: a'),
     'data.yaml cannot be read as YAML'),
    (lambda root: data_yaml(root, train='/etc', val='images/val'), r'there is no|has no images'),
])
def test_what_is_refused(spoil, message, tmp_path):
    root = make(tmp_path / 'mine')
    data_yaml(root, train='images/train', val='images/val')
    spoil(root)
    with pytest.raises(UserError, match=message) as stop:
        read(tmp_path, root)
    assert '\n' not in str(stop.value)
