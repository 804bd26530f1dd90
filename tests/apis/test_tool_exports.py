"""Whole folders as the usual annotation tools write them, with what each leaves beside the data."""
import xml.etree.ElementTree as ET

import pytest

from tests.apis.test_user_layouts import BOXES, content, image, read, score, write
from tests.apis.test_user_yolo import ROWS

COUNT = 10


def xml(name, folder='', number=str, path='', extra=''):
    """An annotation with both boxes, whose numbers are written as a tool does."""
    objects = ''.join(
        f'<object><name>{label}</name><pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult>{extra}'
        f'<bndbox><xmin>{number(x1 + 1)}</xmin><ymin>{number(y1 + 1)}</ymin><xmax>{number(x2)}</xmax>'
        f'<ymax>{number(y2)}</ymax></bndbox></object>' for label, (x1, y1, x2, y2) in BOXES)
    text = (f'<annotation><folder>{folder}</folder><filename>{name}</filename>{path}<source><database>Unknown'
            f'</database></source><size><width>96</width><height>72</height><depth>3</depth></size><segmented>0</segmented>'
            f'{objects}</annotation>')
    ET.fromstring(text)
    return text


def pictures(folder, name='{:06d}.png', count=COUNT, level=40):
    for index in range(count):
        image(folder / name.format(index), level)


def cvat_coco(root):
    """CVAT: COCO 1.0."""
    whole = content(COUNT)
    for entry in whole['annotations']:
        entry.update(segmentation=[], attributes=dict(occluded=False, rotation=0.0))
    for entry in whole['images']:
        entry.update(license=0, flickr_url='', coco_url='', date_captured=0)
    write(root / 'annotations/instances_default.json', dict(
        whole, licenses=[dict(name='', id=0, url='')], info=dict(contributor='', date_created='', description='')))
    pictures(root / 'images/default')


def cvat_voc(root):
    """CVAT: PASCAL VOC 1.1, whose numbers have a fraction and whose list has a name of its own."""
    pictures(root / 'JPEGImages')
    for index in range(COUNT):
        write(root / f'Annotations/{index:06d}.xml', xml(
            f'{index:06d}.png', number=lambda value: f'{value}.0',
            extra='<occluded>0</occluded><attributes><attribute><name>rotation</name><value>0.0</value></attribute>'
                  '</attributes>'))
    write(root / 'ImageSets/Main/default.txt', '\n'.join(f'{index:06d}' for index in range(COUNT)) + '\n')
    write(root / 'labelmap.txt', '# label:color_rgb:parts:actions\nbackground:0,0,0::\nbolt:250,50,83::\n'
                                 'nut:51,221,255::\n')


def cvat_yolo(root):
    """CVAT: YOLO 1.1."""
    pictures(root / 'obj_train_data')
    for index in range(COUNT):
        write(root / f'obj_train_data/{index:06d}.txt', ROWS + '\n')
    write(root / 'obj.data', 'classes = 2\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n')
    write(root / 'obj.names', 'bolt\nnut\n')
    write(root / 'train.txt', '\n'.join(f'data/obj_train_data/{index:06d}.png' for index in range(COUNT)) + '\n')


def cvat_ultralytics(root):
    """CVAT: Ultralytics YOLO Detection 1.0, whose list has a folder that there is not."""
    pictures(root / 'images/train')
    for index in range(COUNT):
        write(root / f'labels/train/{index:06d}.txt', ROWS + '\n')
    write(root / 'train.txt', '\n'.join(f'data/images/train/{index:06d}.png' for index in range(COUNT)) + '\n')
    write(root / 'data.yaml', 'names:\n  0: bolt\n  1: nut\npath: .\ntrain: train.txt\n')


def label_studio_coco(root):
    """Label Studio: COCO, whose categories count from 0."""
    whole = content(COUNT, 'images/1a2b3c4d-{:06d}.png')
    for entry in whole['annotations']:
        entry.update(category_id=entry['category_id'] - 1, segmentation=[], ignore=0,
                     bbox=[float(side) for side in entry['bbox']])
    for category in whole['categories']:
        category['id'] -= 1
    write(root / 'result.json', dict(whole, info=dict(year=2026, version='1.0', contributor='Label Studio')))
    pictures(root / 'images', '1a2b3c4d-{:06d}.png')


def label_studio_voc(root):
    """Label Studio: Pascal VOC XML."""
    pictures(root / 'images', '1a2b3c4d-{:06d}.png')
    for index in range(COUNT):
        write(root / f'Annotations/1a2b3c4d-{index:06d}.xml', xml(f'1a2b3c4d-{index:06d}', 'images'))


def label_studio_yolo(root):
    """Label Studio: YOLO with images."""
    pictures(root / 'images', '1a2b3c4d-{:06d}.png')
    for index in range(COUNT):
        write(root / f'labels/1a2b3c4d-{index:06d}.txt', ROWS + '\n')
    write(root / 'classes.txt', 'bolt\nnut\n')
    write(root / 'notes.json', dict(categories=[dict(id=0, name='bolt'), dict(id=1, name='nut')],
                                    info=dict(year=2026, version='1.0', contributor='Label Studio')))


def roboflow_readme(root):
    write(root / 'README.roboflow.txt', 'mine - v1\n==============\nThis dataset was exported via roboflow.com\n')
    write(root / 'README.dataset.txt', '# mine\n')


def roboflow_coco(root):
    """Roboflow: COCO, with a category of everything that no box has."""
    roboflow_readme(root)
    for split, count in (('train', 7), ('valid', 2), ('test', 1)):
        whole = content(count, '{:06d}_png.rf.0a1b2c.png')
        categories = [dict(id=0, name='parts', supercategory='none'),
                      *(dict(entry, supercategory='parts') for entry in whole['categories'])]
        write(root / split / '_annotations.coco.json', dict(whole, categories=categories))
        pictures(root / split, '{:06d}_png.rf.0a1b2c.png', count)


def roboflow_voc(root):
    """Roboflow: Pascal VOC."""
    roboflow_readme(root)
    for split, count in (('train', 7), ('valid', 2), ('test', 1)):
        pictures(root / split, '{:06d}_png.rf.0a1b2c.png', count)
        for index in range(count):
            name = f'{index:06d}_png.rf.0a1b2c'
            write(root / split / f'{name}.xml', xml(f'{name}.png', path=f'<path>{name}.png</path>'))


def roboflow_yolo(root):
    """Roboflow: YOLOv8 and later."""
    roboflow_readme(root)
    for split, count in (('train', 7), ('valid', 2), ('test', 1)):
        pictures(root / split / 'images', '{:06d}_png.rf.0a1b2c.png', count)
        for index in range(count):
            write(root / split / f'labels/{index:06d}_png.rf.0a1b2c.txt', ROWS)
    write(root / 'data.yaml', "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\nnc: 2\n"
                              "names: ['bolt', 'nut']\n\nroboflow:\n  workspace: me\n  version: 1\n")


def label_img_voc(root):
    """labelImg: XML files beside the images, with the paths of another machine."""
    pictures(root)
    for index in range(COUNT):
        write(root / f'{index:06d}.xml', xml(f'{index:06d}.png', 'mine',
                                             path=f'<path>C:\\Users\\me\\mine\\{index:06d}.png</path>'))


def label_img_yolo(root):
    """labelImg: texts beside the images."""
    pictures(root)
    for index in range(COUNT):
        write(root / f'{index:06d}.txt', ROWS + '\n')
    write(root / 'classes.txt', 'bolt\nnut\n')


@pytest.mark.parametrize('make', [
    cvat_coco, cvat_voc, cvat_yolo, cvat_ultralytics, label_studio_coco, label_studio_voc, label_studio_yolo,
    roboflow_coco, roboflow_voc, roboflow_yolo, label_img_voc, label_img_yolo])
def test_exports(make, tmp_path):
    make(tmp_path / 'mine')
    cfg, notes, found = read(tmp_path, tmp_path / 'mine')
    assert found['train'].classes == ('bolt', 'nut') and cfg.model.bbox_head.num_classes == 2
    split = (7, 2) if 'roboflow' in make.__name__ else (9, 1)
    assert (found['train'].images, found['val'].images) == split
    assert found['train'].counts == {0: split[0], 1: split[0]} and not found['train'].left_out
    assert score(cfg)[0] == 1
