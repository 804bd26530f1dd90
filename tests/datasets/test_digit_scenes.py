"""DigitScenes, read back through files and through the readers of other libraries.

Those of OpenMMLab are imported in the tests, since dicenet_mm has to come first (dicenet_mm/compat.py).
"""
import json
import runpy
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope
from PIL import Image
from pycocotools.coco import COCO
from sklearn.datasets import load_digits, load_sample_images

from dicenet_mm.datasets import digit_scenes
from dicenet_mm.datasets.digit_scenes import CLASSES, draw_scene, generate, load_split

REPO = Path(__file__).parents[2]
SMALL = dict(train=6, val=3, size=(160, 120), seed=3)
SPLITS = ('train', 'val')


@pytest.fixture(scope='module')
def scenes(tmp_path_factory):
    return generate(tmp_path_factory.mktemp('scenes'), **SMALL)


def coco_of(scenes, split):
    return COCO(scenes / f'annotations/instances_{split}.json')


def files_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def pixels_of(scenes, image_id):
    return np.asarray(Image.open(scenes / f'VOC2007/JPEGImages/{image_id:06d}.jpg'))


@pytest.fixture
def interrupted(monkeypatch):
    """Drawing stops at the third scene, as from Ctrl-C."""
    drawn = []

    def stop(*args):
        if len(drawn) == 2:
            raise KeyboardInterrupt
        drawn.append(1)
        return draw_scene(*args)

    monkeypatch.setattr(digit_scenes, 'draw_scene', stop)


# What the files say


@pytest.mark.parametrize('split', SPLITS)
def test_boxes_and_areas_are_those_of_the_masks(scenes, split):
    coco = coco_of(scenes, split)
    assert len(coco.anns) >= len(coco.imgs) == SMALL[split]
    for annotation in coco.anns.values():
        rows, columns = np.nonzero(coco.annToMask(annotation))
        assert annotation['bbox'] == [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
        assert annotation['area'] == len(rows)
        assert annotation['iscrowd'] == 0


@pytest.mark.parametrize('split', SPLITS)
def test_class_map_is_the_union_of_the_masks(scenes, split):
    coco = coco_of(scenes, split)
    for image in coco.imgs.values():
        expected = np.zeros((image['height'], image['width']), int)
        for annotation in coco.imgToAnns[image['id']]:
            mask = coco.annToMask(annotation).astype(bool)
            assert not expected[mask].any(), 'two instances share a pixel'
            expected[mask] = annotation['category_id']
        class_map = Image.open(scenes / f'VOC2007/SegmentationClass/{image["id"]:06d}.png')
        assert class_map.mode == 'P'
        np.testing.assert_array_equal(np.asarray(class_map), expected)


@pytest.mark.parametrize('split', SPLITS)
def test_voc_and_coco_agree(scenes, split):
    coco = coco_of(scenes, split)
    assert [category['name'] for category in coco.loadCats(range(1, 11))] == list(CLASSES)
    for image in coco.imgs.values():
        root = ET.parse(scenes / f'VOC2007/Annotations/{image["id"]:06d}.xml').getroot()
        assert root.findtext('filename') == image['file_name']
        assert (root.findtext('size/width'), root.findtext('size/height')) == ('160', '120')
        assert pixels_of(scenes, image['id']).shape == (120, 160, 3)
        objects = []
        for entry in root.iter('object'):
            box = entry.find('bndbox')
            x1, y1, x2, y2 = (int(box.findtext(corner)) for corner in ('xmin', 'ymin', 'xmax', 'ymax'))
            objects.append((entry.findtext('name'), [x1 - 1, y1 - 1, x2 - x1 + 1, y2 - y1 + 1]))
            assert entry.findtext('difficult') == '0'
        assert objects == [(CLASSES[annotation['category_id'] - 1], annotation['bbox'])
                           for annotation in coco.imgToAnns[image['id']]]


def test_image_sets_name_the_images_of_each_split(scenes):
    sets = scenes / 'VOC2007/ImageSets'
    for split, main in zip(SPLITS, ('trainval', 'test')):
        names = [Path(image['file_name']).stem for image in coco_of(scenes, split).imgs.values()]
        assert (sets / f'Main/{main}.txt').read_text().split() == names
        assert (sets / f'Segmentation/{split}.txt').read_text().split() == names
    assert len(list((scenes / 'VOC2007/JPEGImages').iterdir())) == SMALL['train'] + SMALL['val']


def test_digits_stay_mostly_visible(monkeypatch):
    strokes = []

    def record(*args):
        strokes.append(stroke(*args))
        return strokes[-1]

    stroke = digit_scenes._stroke
    monkeypatch.setattr(digit_scenes, '_stroke', record)
    sources = load_split('train')
    shares = []
    for seed in range(40):
        strokes.clear()
        _, labels, masks = draw_scene(*sources, (160, 120), np.random.default_rng(seed))
        if len(strokes) == len(labels):  # none was refused
            shares += [mask.sum() / (opacity >= 0.5).sum() for mask, opacity in zip(masks, strokes)]
    assert 0.6 <= min(shares) < 1 == max(shares)


def test_splits_share_neither_digits_nor_background():
    photographs, digits, values = zip(*map(load_split, SPLITS))
    np.testing.assert_array_equal(np.concatenate(digits) * 16, load_digits().images)
    np.testing.assert_array_equal(np.concatenate(values), load_digits().target)
    assert not {digit.tobytes() for digit in digits[0]} & {digit.tobytes() for digit in digits[1]}
    for parts, whole in zip(zip(*photographs), load_sample_images().images):
        np.testing.assert_array_equal(np.concatenate(parts), whole)


# Generation


def test_same_arguments_give_the_same_files(scenes, tmp_path):
    assert files_of(generate(tmp_path, **SMALL)) == files_of(scenes)


def test_another_seed_gives_other_images(scenes, tmp_path):
    other = generate(tmp_path, **{**SMALL, 'seed': 4})
    assert all((pixels_of(other, image_id) != pixels_of(scenes, image_id)).any() for image_id in range(1, 10))


def test_an_image_does_not_depend_on_the_others(scenes, tmp_path):
    fewer = generate(tmp_path, **{**SMALL, 'train': 2, 'val': 1})
    for image_id, same in ((1, 1), (2, 2), (3, 7)):  # the third is the first of val
        np.testing.assert_array_equal(pixels_of(fewer, image_id), pixels_of(scenes, same))


def test_found_again_without_drawing(scenes, monkeypatch):
    monkeypatch.delattr(digit_scenes, 'draw_scene')
    assert generate(scenes.parent, **SMALL) == scenes


def test_interruption_leaves_nothing(scenes, tmp_path, interrupted, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path, **SMALL)
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()
    assert files_of(generate(tmp_path, **SMALL)) == files_of(scenes)


def test_two_at_once(scenes, tmp_path, monkeypatch):
    """Another run starts and ends while this one is at its first scene."""
    def other_first(*args):
        monkeypatch.undo()
        generate(tmp_path, **SMALL)
        return draw_scene(*args)

    monkeypatch.setattr(digit_scenes, 'draw_scene', other_first)
    folder = generate(tmp_path, **SMALL)
    assert list(tmp_path.iterdir()) == [folder]
    assert files_of(folder) == files_of(scenes)


def test_default_root_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv('DICENET_MM_CACHE', str(tmp_path))
    assert generate(train=1, val=1, size=(96, 96)).parent == tmp_path / 'digit_scenes'


@pytest.mark.parametrize('arguments, message', [
    (dict(train=0), 'at least one image'),
    (dict(val=0), 'at least one image'),
    (dict(size=(320, 50)), 'at least 96 px'),
    (dict(seed=-1), 'seed must not be negative'),
])
def test_bad_arguments(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        generate(tmp_path, **arguments)
    assert not list(tmp_path.iterdir())


def test_a_root_that_cannot_be_written(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(OSError, match='DICENET_MM_CACHE'):
        generate(tmp_path / 'file')


def test_command(tmp_path, monkeypatch, capsys):
    options = f'--root {tmp_path} --train 2 --val 1 --size 96 96'
    monkeypatch.setattr('sys.argv', ['make_digit_scenes.py', *options.split()])
    runpy.run_path(str(REPO / 'tools/dataset_converters/make_digit_scenes.py'), run_name='__main__')
    folder = Path(capsys.readouterr().out.strip())
    assert len(json.loads((folder / 'annotations/instances_train.json').read_text())['images']) == 2


# Readers


def test_config_loads_what_the_annotations_say(tmp_path, monkeypatch):
    """The configured pipelines run, and the truth in val's samples scores 1 as its own prediction."""
    import mmdet.datasets.transforms  # noqa: F401  (registers what the config's pipelines name)
    from mmdet.evaluation import CocoMetric
    monkeypatch.setenv('DICENET_MM_CACHE', str(tmp_path))
    config = Config.fromfile(REPO / 'configs/_base_/datasets/digit_scenes_det.py')
    with DefaultScope.overwrite_default_scope('mmdet'):
        train, val = (DATASETS.build({**config[f'{split}_dataloader'].dataset, 'scenes': SMALL})
                      for split in SPLITS)
    assert len(train) == SMALL['train'] and len(val) == SMALL['val']
    for sample in (*train, *val):
        assert sample['inputs'].shape == (3, 300, 300)
    metric = CocoMetric(metric='bbox')
    metric.dataset_meta = val.metainfo
    for sample in val:
        truth = sample['data_samples'].instances
        predictions = dict(bboxes=torch.tensor([instance['bbox'] for instance in truth]),
                           labels=torch.tensor([instance['bbox_label'] for instance in truth]),
                           scores=torch.ones(len(truth)))
        metric.process({}, [dict(sample['data_samples'].metainfo, pred_instances=predictions)])
    assert metric.evaluate(len(val))['coco/bbox_mAP'] == pytest.approx(1)


def test_mmdet_reads_the_voc_layout(scenes):
    from mmdet.datasets import XMLDataset
    dataset = XMLDataset(data_root=str(scenes), ann_file='VOC2007/ImageSets/Main/test.txt',
                         data_prefix=dict(sub_data_root='VOC2007/'), metainfo=dict(classes=CLASSES))
    coco = coco_of(scenes, 'val')
    for info in dataset:
        expected = [[x, y, x + w - 1, y + h - 1]
                    for x, y, w, h in (entry['bbox'] for entry in coco.imgToAnns[int(info['img_id'])])]
        assert [instance['bbox'] for instance in info['instances']] == expected


def test_mmseg_reads_the_class_maps(scenes):
    from mmseg.datasets import BaseSegDataset
    from mmseg.datasets.transforms import LoadAnnotations
    dataset = BaseSegDataset(data_root=str(scenes / 'VOC2007'), ann_file='ImageSets/Segmentation/val.txt',
                             data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
                             metainfo=dict(classes=('background', *CLASSES)))
    assert len(dataset) == SMALL['val']
    coco = coco_of(scenes, 'val')
    for info in dataset:
        classes = np.unique(LoadAnnotations()(info)['gt_seg_map'])
        instances = coco.imgToAnns[int(Path(info['img_path']).stem)]
        assert set(classes) == {0} | {annotation['category_id'] for annotation in instances}


def test_mmpretrain_reads_the_image_labels(scenes):
    from mmpretrain.datasets import VOC
    dataset = VOC(data_root=str(scenes / 'VOC2007'), split='test', metainfo=dict(classes=CLASSES))
    assert len(dataset) == SMALL['val']
    coco = coco_of(scenes, 'val')
    for info in dataset:
        instances = coco.imgToAnns[int(Path(info['img_path']).stem)]
        assert sorted(info['gt_label']) == sorted({annotation['category_id'] - 1 for annotation in instances})
