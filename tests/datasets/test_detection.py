import json
import xml.etree.ElementTree as ET

import pytest

from dicenet_mm.datasets import CheckedCocoDataset, CheckedVOCDataset
from dicenet_mm.errors import UserError
from tests.data import make_coco, make_voc

CLASSES = ('person', 'car')


def coco(root, change=None, classes=CLASSES, **kwargs):
    make_coco(root, dict(train=3))
    path = root / 'annotations/instances_train.json'
    content = json.loads(path.read_text())
    if change:
        change(content)
    path.write_text(json.dumps(content))
    return CheckedCocoDataset(data_root=str(root), ann_file='annotations/instances_train.json',
                              data_prefix=dict(img='train/'), metainfo=dict(classes=classes), **kwargs)


def voc(root, change=None, classes=CLASSES, **kwargs):
    make_voc(root, dict(trainval=3))
    path = root / 'VOC2007/Annotations/000001.xml'
    if isinstance(change, str):
        path.write_text(change)
    elif change:
        tree = ET.parse(path)
        change(tree.getroot())
        tree.write(path)
    return CheckedVOCDataset(data_root=str(root), ann_file='VOC2007/ImageSets/Main/trainval.txt',
                             data_prefix=dict(sub_data_root='VOC2007/'), metainfo=dict(classes=classes), **kwargs)


def boxes(dataset, index):
    return [instance['bbox'] for instance in dataset.get_data_info(index)['instances']]


def test_coco_boxes_are_clipped_dropped_and_counted_once(tmp_path, log):
    def change(content):  # images of 96x72 px
        for entry, bbox in zip(content['annotations'], ([-5, 10, 20, 20], [90, 60, 50, 50], [10, 10, 0, 20],
                                                        [200, 10, 20, 20], [75.5, 10, 21, 20])):
            entry['bbox'] = bbox
    dataset = coco(tmp_path, change)
    assert boxes(dataset, 0) == [[0, 10, 15, 30], [90, 60, 96, 72]]
    assert boxes(dataset, 1) == []
    assert boxes(dataset, 2)[0] == [75.5, 10, 96.5, 30]  # half a pixel too far is no fault
    assert len(log.records) == 1
    assert '2 boxes reaching out of their image clipped, 2 boxes without area dropped' in log.text


def test_voc_boxes_are_clipped_dropped_and_counted_once(tmp_path, log):
    def change(root):
        for corners, box in zip(root.iter('bndbox'), ([0, 11, 40, 80], [50, 20, 50, 30])):
            for tag, value in zip(('xmin', 'ymin', 'xmax', 'ymax'), box):
                corners.find(tag).text = str(value)
    dataset = voc(tmp_path, change)
    assert boxes(dataset, 1) == [[0, 10, 39, 72]]
    assert len(log.records) == 1
    assert '1 boxes reaching out of their image clipped, 1 boxes without area dropped' in log.text


def test_what_tools_leave_out_is_filled_in(tmp_path):
    def change(content):
        for entry in content['annotations']:
            del entry['area'], entry['iscrowd']
        for image in content['images']:
            del image['width'], image['height']
    dataset = coco(tmp_path / 'coco', change)
    assert dataset.get_data_info(0)['width'] == 96 and len(boxes(dataset, 0)) == 2
    dataset = voc(tmp_path / 'voc', lambda root: root.remove(root.find('size')))
    assert dataset.get_data_info(1)['height'] == 72 and len(boxes(dataset, 1)) == 2


def test_voc_images_of_any_suffix_and_lists_with_blank_lines(tmp_path):
    make_voc(tmp_path, dict(trainval=3))
    path = tmp_path / 'VOC2007/JPEGImages/000001.jpg'
    path.rename(path.with_suffix('.PNG'))
    with open(tmp_path / 'VOC2007/ImageSets/Main/trainval.txt', 'a') as file:
        file.write('\n\n')
    dataset = CheckedVOCDataset(data_root=str(tmp_path), ann_file='VOC2007/ImageSets/Main/trainval.txt',
                                data_prefix=dict(sub_data_root='VOC2007/'), metainfo=dict(classes=CLASSES))
    assert len(dataset) == 3 and dataset.get_data_info(1)['img_path'].endswith('JPEGImages/000001.PNG')


def test_difficult_objects_stay_marked(tmp_path):
    def change(root):
        root.find('object/difficult').text = '1'
    dataset = voc(tmp_path, change)
    assert [instance['ignore_flag'] for instance in dataset.get_data_info(1)['instances']] == [1, 0]
    assert dataset.metainfo['dataset_type'] == 'VOC2007'


def test_boxes_of_other_classes_are_counted(tmp_path, log):
    dataset = voc(tmp_path / 'voc', classes=('car',))
    assert sum(len(boxes(dataset, index)) for index in range(3)) == 3
    assert '3 boxes are left out' in log.text and 'person' in log.text
    log.clear()
    coco(tmp_path / 'coco', classes=('person',))
    assert '3 boxes are left out' in log.text and 'car' in log.text


@pytest.mark.parametrize('make', [coco, voc])
def test_no_class_in_common(make, tmp_path):
    with pytest.raises(UserError, match=r'it has cat, dog, the annotations car, person\. Use --data'):
        make(tmp_path, classes=('cat', 'dog'))


def test_an_image_with_very_many_boxes_is_left_out_of_training(tmp_path, log):
    make_coco(tmp_path, dict(train=30))
    path = tmp_path / 'annotations/instances_train.json'
    content = json.loads(path.read_text())
    content['annotations'] += [dict(image_id=3, category_id=1, bbox=[index % 70, index // 800, 9 + index % 800 / 99, 9])
                               for index in range(30_000)]
    path.write_text(json.dumps(content))
    keys = dict(data_root=str(tmp_path), ann_file='annotations/instances_train.json', data_prefix=dict(img='train/'),
                metainfo=dict(classes=CLASSES))
    assert len(CheckedCocoDataset(**keys)) == 29
    assert '1 images of ' in log.text and 'have more than 10000 boxes each (000000000003.jpg): they are' in log.text
    assert len(boxes(CheckedCocoDataset(**keys, test_mode=True), 3)) > 20_000
    for image in (5, 6):
        content['annotations'] += [dict(entry, image_id=image) for entry in content['annotations'][-12_000:]]
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match='3 images of .* have more than 10000 boxes each .*, more than 5% of'):
        CheckedCocoDataset(**keys)


@pytest.mark.parametrize('make', [coco, voc])
def test_classes_that_are_a_text(make, tmp_path):
    with pytest.raises(UserError, match=r"are the text 'bolt', not a list of names: write classes=\('bolt',\), with a"):
        make(tmp_path, classes=('bolt'))


def test_tests_without_truth_stay_possible(tmp_path):
    def change(content):
        del content['annotations']
    assert len(coco(tmp_path, change, test_mode=True)) == 3


def test_labels_go_by_the_names_of_classes(tmp_path):
    """Whatever the order, the ids and the blanks of the categories in the file."""
    def change(content):
        content['categories'] = [dict(id='9', name=' car\n'), dict(id=7.0, name='person'), dict(id='x', name='person ')]
        for entry, category in zip(content['annotations'], (7, 9, 'x', '9', '7', 9)):
            entry['category_id'] = category
    dataset = coco(tmp_path, change)
    assert [[instance['bbox_label'] for instance in dataset.get_data_info(index)['instances']] for index in range(3)] \
        == [[0, 1]] * 3


def remove(key):
    return lambda content: content.pop(key)


@pytest.mark.parametrize('change,message', [
    (remove('annotations'), r'it has no list of annotations \(it has images, categories\)'),
    (remove('images'), 'it has no list of images'),
    (lambda content: content['annotations'][1].pop('bbox'), r'annotations\[1\] is without bbox'),
    (lambda content: content['annotations'][1].update(bbox='1 2 3'), r'the bbox of annotation 2 is 1 2 3, not \[x, y'),
    (lambda content: content['annotations'][1].update(image_id=99), 'annotates image 99'),
    (lambda content: content['images'].clear() or content['annotations'].clear(), 'lists no images'),
    (lambda content: content['annotations'].clear(), 'leaves no image to use'),
])
def test_what_is_wrong_with_a_coco_file(change, message, tmp_path):
    with pytest.raises(UserError, match=message):
        coco(tmp_path, change, filter_cfg=dict(filter_empty_gt=True))


def test_a_json_file_that_is_cut_off_is_named(tmp_path):
    make_coco(tmp_path, dict(train=2))
    path = tmp_path / 'annotations/instances_train.json'
    path.write_text(path.read_text()[:200])
    with pytest.raises(UserError, match='instances_train.json cannot be read as JSON'):
        CheckedCocoDataset(ann_file=str(path), data_prefix=dict(img=str(tmp_path)))


@pytest.mark.parametrize('change,message', [
    ('<annotation><object>', r'000001.xml cannot be read as XML \(.*line 1'),
    (lambda root: root.find('object').remove(root.find('object/bndbox')), '000001.xml is not a VOC annotation'),
    (lambda root: setattr(root.find('object/bndbox/xmin'), 'text', 'left'), '000001.xml is not a VOC annotation'),
])
def test_what_is_wrong_with_a_voc_annotation(change, message, tmp_path):
    with pytest.raises(UserError, match=message):
        voc(tmp_path, change)


def test_a_missing_annotation_is_named(tmp_path):
    make_voc(tmp_path, dict(trainval=2))
    (tmp_path / 'VOC2007/Annotations/000001.xml').unlink()
    with pytest.raises(UserError, match='there is no annotation .*000001.xml'):
        CheckedVOCDataset(data_root=str(tmp_path), ann_file='VOC2007/ImageSets/Main/trainval.txt',
                          data_prefix=dict(sub_data_root='VOC2007/'))
