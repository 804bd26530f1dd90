
import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import LoadImageFromFile
from mmdet.datasets.transforms import LoadAnnotations
from mmengine.dataset import ConcatDataset
from PIL import Image
from torch.utils.data import DataLoader

from dicenet_mm.datasets import CheckedCocoDataset, ImageError, report_images
from dicenet_mm.datasets.images import image_size
from dicenet_mm.errors import UserError
from tests.data import make_coco, scene


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.bmp', '.webp', '.tif', '.ppm'])
def test_size_of_whole_and_cut_off_files(suffix, tmp_path):
    path = tmp_path / f'image{suffix}'
    cv2.imwrite(str(path), scene(0, (97, 61))[0])
    assert image_size(path) == (97, 61)
    whole = path.read_bytes()
    path.write_bytes(whole[:8])
    with pytest.raises(ImageError, match=f'image{suffix} cannot be read as an image'):
        image_size(path)


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_images_that_end_early_or_late(suffix, tmp_path):
    path = tmp_path / f'image{suffix}'
    cv2.imwrite(str(path), scene(0)[0])
    whole = path.read_bytes()
    path.write_bytes(whole[:-len(whole) // 3])  # the header is whole: many decoders fill the rest with grey
    with pytest.raises(ImageError, match='truncated'):
        image_size(path)
    path.write_bytes(whole + b'\0\0 written by a camera')  # harmless
    assert image_size(path) == (96, 72)


def test_size_is_that_of_the_turned_image(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.fromarray(scene(0)[0]).save(tmp_path / 'turned.jpg', exif=exif)
    assert image_size(tmp_path / 'turned.jpg') == (72, 96) == cv2.imread(str(tmp_path / 'turned.jpg')).shape[1::-1]


@pytest.mark.parametrize('content', [b'', b'not an image', None])
def test_what_is_no_image_is_named(content, tmp_path):
    if content is not None:
        (tmp_path / 'x.jpg').write_bytes(content)
    with pytest.raises(ImageError, match='x.jpg'):
        image_size(tmp_path / 'x.jpg')


def load(root, count=40, test_mode=False, **kwargs):
    make_coco(root, dict(train=count))
    pipeline = [LoadImageFromFile(), LoadAnnotations(with_bbox=True)]
    return lambda: CheckedCocoDataset(
        data_root=str(root), ann_file='annotations/instances_train.json', data_prefix=dict(img='train/'),
        metainfo=dict(classes=('person', 'car')), test_mode=test_mode, pipeline=pipeline, **kwargs)


def cut(root, index):
    path = root / f'train/{index:012d}.jpg'
    path.write_bytes(path.read_bytes()[:-300])
    return str(path)


@pytest.mark.parametrize('workers', [0, 2])
def test_training_skips_a_cut_off_image_and_says_so(workers, tmp_path, log):
    build = load(tmp_path)
    path = cut(tmp_path, 3)
    dataset = build()
    loader = DataLoader(dataset, batch_size=10, num_workers=workers, collate_fn=list)
    samples = [sample for _ in range(2) for batch in loader for sample in batch]
    assert len(samples) == 80 and path not in [sample['img_path'] for sample in samples]
    assert dataset.unreadable.nonzero().flatten().tolist() == [3]  # also where a worker found it
    if not workers:
        assert log.text.count(path) == 1 and 'skipped (1 of 40 images so far' in log.text
    log.clear()
    report_images(ConcatDataset([dataset]))
    assert f'1 of 40 training images could not be read and were skipped: {path}' in log.text


@pytest.mark.parametrize('workers', [0, 1])
def test_training_stops_where_too_many_are_unreadable(workers, tmp_path):
    build = load(tmp_path)
    for index in (1, 5, 9):
        cut(tmp_path, index)
    loader = DataLoader(build(), num_workers=workers, collate_fn=list)
    with pytest.raises(ImageError) as stop:
        list(loader)
    assert str(stop.value).startswith('3 of 40 training images cannot be read, more than 5%: ')
    assert 'Traceback' not in str(stop.value)


@pytest.mark.parametrize('workers', [0, 1])
def test_testing_stops_at_a_cut_off_image(workers, tmp_path):
    build = load(tmp_path, 4, test_mode=True)
    path = cut(tmp_path, 2)
    loader = DataLoader(build(), num_workers=workers, collate_fn=list)
    with pytest.raises(UserError) as stop:
        list(loader)
    assert str(stop.value).startswith(f'{path} cannot be read as an image')


def test_an_image_that_only_decoding_finds_broken(tmp_path):
    build = load(tmp_path)
    path = tmp_path / f'train/{0:012d}.jpg'
    whole = bytearray(path.read_bytes())
    start = whole.index(b'\xff\xc4')  # the Huffman tables
    whole[start + 5:start + 21] = b'\xff' * 16
    path.write_bytes(whole)
    assert cv2.imread(str(path)) is None
    dataset = build()
    assert dataset[0]['img_path'] != str(path) and dataset.unreadable[0]


def test_errors_of_the_pipeline_are_not_taken_for_broken_images(tmp_path):
    dataset = load(tmp_path, 2)()
    dataset.pipeline.transforms.append(lambda results: results['no such key'])
    with pytest.raises(KeyError, match='no such key'):
        dataset[0]
    assert not dataset.unreadable.any()


def test_images_of_another_size_are_counted(tmp_path, log):
    dataset = load(tmp_path, 4)()
    for index in (1, 2):
        cv2.imwrite(str(tmp_path / f'train/{index:012d}.jpg'), np.zeros((50, 40, 3), np.uint8))
    for _ in range(2):
        for index in range(4):
            dataset[index]
    assert log.text.count('has 40x50 px, but 96x72 in the annotations') == 1
    report_images(dataset)
    assert '2 of 4 training images have another size than in' in log.text
    assert torch.equal(dataset.missized, torch.tensor([False, True, True, False]))
