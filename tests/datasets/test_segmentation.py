"""Masks: what is read, and what is refused and how."""
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image

from dicenet_mm.datasets import CityscapesSegDataset, VOCSegDataset
from dicenet_mm.datasets.images import ImageError
from dicenet_mm.datasets.segmentation import CheckedSegDataset, MaskError
from dicenet_mm.errors import UserError
from tests.data import class_mask, make_pairs, make_voc_masks

PIPELINE = [dict(type='LoadImageFromFile'), dict(type='LoadMask'), dict(type='PackSegInputs')]
NAMES = [f'picture {index}' for index in range(30)]


def make(folder, names=NAMES, classes=('background', 'a', 'b'), **kwargs):
    list_file = folder / 'list.txt'
    list_file.write_text('\n'.join(names) + '\n\n')
    return CheckedSegDataset(ann_file=str(list_file), data_prefix=dict(
        img_path=str(folder / 'images'), seg_map_path=str(folder / 'masks')), metainfo=dict(classes=list(classes)),
        pipeline=PIPELINE, **kwargs)


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmseg')


@pytest.fixture(scope='module')
def pairs(tmp_path_factory):
    folder = tmp_path_factory.mktemp('pairs')
    make_pairs(folder / 'images', folder / 'masks', NAMES[:-1])
    make_pairs(folder / 'images', folder / 'masks', NAMES[-1:], suffix='.png')  # whose suffix is another one
    return folder


def test_reads_pairs(pairs):
    dataset = make(pairs)
    assert len(dataset) == 30  # blank lines are none
    for index in (0, 7):
        assert np.array_equal(dataset[index]['data_samples'].gt_sem_seg.data[0], class_mask(index))
    assert dataset.get_data_info(29)['img_path'].endswith('picture 29.png')
    counts = dataset.count_images()
    assert counts[0] == 30 and 255 not in counts
    assert counts[1] == sum(1 in class_mask(index) for index in [*range(29), 0])


@pytest.mark.parametrize('mode', ['L', 'P', '1', 'I;16'])
def test_kinds_of_index_masks(pairs, tmp_path, mode):
    mask = (class_mask(0) == 1).astype(np.uint8)
    (tmp_path / 'masks').mkdir()
    (tmp_path / 'images').symlink_to(pairs / 'images')
    image = Image.fromarray(mask.astype(np.uint16)) if mode == 'I;16' else Image.fromarray(mask)
    if mode == '1':
        image = Image.fromarray(mask.astype(bool))
    elif mode == 'P':
        image.putpalette([10, 20, 30, 40, 50, 60])
    image.save(tmp_path / f'masks/{NAMES[0]}.png')
    assert Image.open(tmp_path / f'masks/{NAMES[0]}.png').mode == mode
    assert np.array_equal(make(tmp_path, NAMES[:1])[0]['data_samples'].gt_sem_seg.data[0], mask)


def of_another_size(path):
    Image.fromarray(class_mask(0)[:50]).save(path)


def with_class_7(path):
    mask = class_mask(0)
    mask[10, 10:13] = 7
    Image.fromarray(mask).save(path)


def in_colour(path):
    Image.open(path).convert('RGB').save(path)


def above_255(path):
    Image.fromarray(class_mask(0).astype(np.uint16) * 100).save(path)


@pytest.mark.parametrize('damage,error,message', [
    (of_another_size, MaskError, r'0\.png has 96x50 px, but its image .*0\.jpg has 96x72: each pixel of the image'),
    (with_class_7, MaskError, r'0\.png has 3 pixels of class 7, but the classes are 0 to 2 \(255 is ignored\)'),
    (in_colour, MaskError, r'0\.png is a colour picture \(RGB\), not a mask of class indices: save it as a grey or'),
    (above_255, MaskError, r'0\.png has values above 255, not a mask'),
    (lambda path: path.unlink(), ImageError, r'there is no mask .*0\.png'),
    (lambda path: path.write_bytes(b'no image'), ImageError, r'0\.png cannot be read as a mask'),
    (lambda path: path.write_bytes(path.read_bytes()[:60]), ImageError, r'0\.png cannot be read as a mask'),
], ids=['size', 'class', 'colour', '16 bits', 'missing', 'no image', 'cut off'])
def test_wrong_masks(tmp_path, damage, error, message):
    """Named in testing; in training wrong ones stop it, and unreadable ones are skipped while they are few."""
    names = NAMES[:25]
    make_pairs(tmp_path / 'images', tmp_path / 'masks', names)
    damage(tmp_path / f'masks/{names[0]}.png')
    with pytest.raises(error, match=message):
        make(tmp_path, names, test_mode=True)[0]
    training = make(tmp_path, names)
    if error is MaskError:
        with pytest.raises(MaskError, match=message):
            training[0]
    else:
        assert training[0] is not None and training.unreadable.sum() == 1  # another one in its place
        for name in names[1:3]:
            (tmp_path / f'masks/{name}.png').unlink()
        with pytest.raises(ImageError, match=r'of 25 training images cannot be read, more than 5%'):
            training[1], training[2]


def test_an_error_of_a_worker_is_its_sentence():
    with pytest.raises(MaskError) as caught:
        raise MaskError('Caught MaskError in DataLoader worker process 0.\nTraceback\ndicenet_mm.MaskError: a is wrong')
    assert str(caught.value) == 'a is wrong'


def test_voc(tmp_path):
    make_voc_masks(tmp_path, dict(train=NAMES[:3], val=NAMES[3:5]))
    dataset = VOCSegDataset(data_root=str(tmp_path), ann_file='ImageSets/Segmentation/val.txt', pipeline=PIPELINE,
                            data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'))
    assert len(dataset) == 2 and len(dataset.metainfo['classes']) == 21
    assert np.array_equal(dataset[1]['data_samples'].gt_sem_seg.data[0], class_mask(4))


def test_cityscapes(tmp_path):
    """Its own layout: a folder a city, and suffixes of its own."""
    for number, city in enumerate(('aachen', 'zurich')):
        make_pairs(tmp_path / f'leftImg8bit/train/{city}', tmp_path / f'gtFine/train/{city}',
                   [f'{city}_{index:06d}_000019' for index in range(2 + number)], suffix='_leftImg8bit.png',
                   mask_suffix='_gtFine_labelTrainIds.png')
    dataset = CityscapesSegDataset(data_root=str(tmp_path), pipeline=PIPELINE, data_prefix=dict(
        img_path='leftImg8bit/train', seg_map_path='gtFine/train'))
    assert len(dataset) == 5 and len(dataset.metainfo['classes']) == 19
    sample = dataset[3]['data_samples']
    assert sample.img_path.endswith('zurich/zurich_000001_000019_leftImg8bit.png')
    assert np.array_equal(sample.gt_sem_seg.data[0], class_mask(1))


def test_digit_scenes(tmp_path):
    dataset = DATASETS.build(dict(
        type='DigitScenesSegDataset', data_root=str(tmp_path), scenes=dict(train=2, val=1, size=(128, 96)),
        ann_file='VOC2007/ImageSets/Segmentation/train.txt', pipeline=PIPELINE,
        data_prefix=dict(img_path='VOC2007/JPEGImages', seg_map_path='VOC2007/SegmentationClass')))
    assert len(dataset) == 2 and len(dataset.metainfo['classes']) == 11
    mask = dataset[0]['data_samples'].gt_sem_seg.data[0].numpy()
    assert mask.shape == (96, 128) and mask.max() in range(1, 11)


def test_no_image_is_left(tmp_path):
    make_pairs(tmp_path / 'images', tmp_path / 'masks', NAMES[:1])
    with pytest.raises(UserError, match=re.escape(f'{tmp_path}/list.txt leaves no image to use')):
        make(tmp_path, [])


def test_small_images_are_padded_in_training():
    """Crops below the crop size: the mean in the image, 255 in the mask."""
    cfg = Config.fromfile(Path(__file__).parents[2] / 'configs/_base_/models/espnetv2_segmentor.py')
    preprocess = MODELS.build(cfg.model.data_preprocessor)
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.ones(1, 40, 60, dtype=torch.long)))
    out = preprocess(dict(inputs=[torch.full((3, 40, 60), 200, dtype=torch.uint8)], data_samples=[sample]), True)
    assert out['inputs'].shape == (1, 3, 256, 256) and (out['inputs'][0, :, 40:] == 0).all()
    mask = out['data_samples'][0].gt_sem_seg.data
    assert mask.shape == (1, 256, 256) and (mask[:, :40, :60] == 1).all() and (mask[:, 40:] == 255).all()
