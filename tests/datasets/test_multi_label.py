"""Labels of images from COCO's annotations."""
import json

import pytest

from dicenet_mm.datasets import MultiLabelCocoDataset
from dicenet_mm.errors import UserError

CLASSES = ('person', 'car', 'dog')


def write(tmp_path, annotations, categories=CLASSES):
    """Four images of 100 x 80 px; ``annotations`` are (image, category name, further entries)."""
    names = list(categories)
    content = dict(
        images=[dict(id=image, file_name=f'{image}.jpg', width=100, height=80) for image in range(1, 5)],
        categories=[dict(id=10 * index + 1, name=name) for index, name in enumerate(names)],
        annotations=[dict(dict(bbox=[10, 10, 20, 20], area=400, iscrowd=0), id=number, image_id=image,
                          category_id=10 * names.index(name) + 1, **more)
                     for number, (image, name, more) in enumerate(annotations, 1)])
    (tmp_path / 'a.json').write_text(json.dumps(content))


def load(tmp_path, **kwargs):
    dataset = MultiLabelCocoDataset(data_root=str(tmp_path), ann_file='a.json', data_prefix=dict(img=''),
                                    metainfo=dict(classes=CLASSES), **kwargs)
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    return {info['img_id']: info['gt_label'] for info in infos}


ANNOTATED = [(1, 'dog', {}), (1, 'person', {}), (1, 'dog', {}), (2, 'car', dict(iscrowd=1)),
             (3, 'car', dict(bbox=[200, 10, 5, 5]))]


@pytest.mark.parametrize('test_mode', [False, True])
def test_labels(tmp_path, test_mode):
    """Each class once and sorted; a crowd counts, a box outside the image does not; images without labels stay."""
    write(tmp_path, ANNOTATED)
    assert load(tmp_path, test_mode=test_mode) == {1: [0, 2], 2: [1], 3: [], 4: []}


@pytest.mark.parametrize('test_mode', [False, True])
def test_images_without_labels_can_be_left_out(tmp_path, test_mode):
    write(tmp_path, ANNOTATED)
    found = load(tmp_path, test_mode=test_mode, filter_cfg=dict(filter_empty_gt=True))
    assert found == {1: [0, 2], 2: [1]}


def test_other_categories(tmp_path):
    write(tmp_path, [(1, 'dog', {})], ('person', 'dog'))
    with pytest.raises(UserError, match='a.json is without the categories car of this configuration; it has person, '):
        load(tmp_path)
    write(tmp_path, ANNOTATED, ('person', 'dog', 'car'))  # in another order
    assert load(tmp_path) == {1: [0, 2], 2: [1], 3: [], 4: []}


def test_coco(shared):
    """Against the JSON itself, on real annotations."""
    root = shared / 'data/coco'
    content = json.loads((root / 'annotations/instances_val2017.json').read_text())
    names = {category['id']: category['name'] for category in content['categories']}
    dataset = MultiLabelCocoDataset(data_root=str(root), ann_file='annotations/instances_val2017.json',
                                    data_prefix=dict(img='val2017/'))
    classes = dataset.metainfo['classes']
    assert classes == tuple(names.values())
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        shown = {names[entry['category_id']] for entry in content['annotations'] if entry['image_id'] == info['img_id']}
        assert {classes[label] for label in info['gt_label']} == shown
