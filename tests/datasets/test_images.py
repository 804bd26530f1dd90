import struct
import zlib

import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import LoadImageFromFile
from mmdet.datasets.transforms import LoadAnnotations
from mmengine.dataset import ConcatDataset
from PIL import Image, ImageOps
from torch.utils.data import DataLoader

from dicenet_mm.datasets import CheckedCocoDataset, ImageError, report_images
from dicenet_mm.datasets.images import image_header, image_size
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
    return lambda **more: CheckedCocoDataset(
        data_root=str(root), ann_file='annotations/instances_train.json', data_prefix=dict(img='train/'),
        metainfo=dict(classes=('person', 'car')), test_mode=test_mode, pipeline=pipeline, **kwargs, **more)


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


# images of every kind: what the header tells is what is decoded

def picture(size=(60, 40)):
    """Two halves, red and blue."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[:, :size[0] // 2, 0] = pixels[:, size[0] // 2:, 2] = 255
    return Image.fromarray(pixels)


def exif(orientation):
    out = Image.Exif()
    out[0x0112] = orientation
    return out


def sixteen(path):
    cv2.imwrite(str(path), np.asarray(picture())[..., ::-1].astype(np.uint16) * 257)


KINDS = {
    'cmyk.jpg': lambda path: picture().convert('CMYK').save(path),
    'grey.jpg': lambda path: picture().convert('L').save(path),
    'grey and alpha.png': lambda path: picture().convert('LA').save(path),
    'alpha.png': lambda path: picture().convert('RGBA').save(path),
    'palette.png': lambda path: picture().convert('P').save(path),
    'two levels.png': lambda path: picture().convert('1').save(path),
    '16 bits.png': sixteen,
    '16 bits.tif': sixteen,
    'animated.gif': lambda path: picture().save(path, save_all=True, append_images=[picture((60, 40)).rotate(180)]),
    'animated.png': lambda path: picture().save(path, save_all=True, append_images=[picture((60, 40)).rotate(180)]),
    'animated.webp': lambda path: picture().save(path, save_all=True, append_images=[picture((60, 40)).rotate(180)]),
    'pages.tif': lambda path: picture().save(path, save_all=True, append_images=[picture((60, 40)).rotate(180)]),
    'one pixel wide.png': lambda path: picture((1, 40)).save(path),
    'one pixel.jpg': lambda path: picture((1, 1)).save(path),
    **{f'turned {number}.jpg': lambda path, number=number: picture().save(path, exif=exif(number), quality=99)
       for number in range(1, 9)},
    'turned.png': lambda path: picture().save(path, exif=exif(6)),
    'turned.webp': lambda path: picture().save(path, exif=exif(8)),
}


@pytest.mark.parametrize('name', KINDS)
def test_kinds_of_images(name, tmp_path):
    path = tmp_path / name
    KINDS[name](path)
    width, height, orientation = image_header(path)
    loaded = LoadImageFromFile()(dict(img_path=str(path)))['img']
    assert loaded.shape == (height, width, 3) and loaded.dtype == np.uint8
    upright = ImageOps.exif_transpose(Image.open(path)).convert('RGB')
    assert upright.size == (width, height)
    if 'levels' not in name and '16' not in name:
        assert np.abs(np.asarray(upright).astype(int) - loaded[..., ::-1]).mean() < 12
    assert orientation == (int(name[7]) if name.startswith('turned ') else dict(png=6, webp=8)[name[7:]]
                           if name.startswith('turned') else 1)


def png(width, height):
    """A header that lies: a few bytes for all of these pixels."""
    def chunk(kind, content):
        return struct.pack('>I', len(content)) + kind + content + struct.pack('>I', zlib.crc32(kind + content))
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)) +
            chunk(b'IDAT', zlib.compress(bytes(50))) + chunk(b'IEND', b''))


@pytest.mark.parametrize('content,message', [
    (png(2**15, 2**15), 'is too large'),
    (png(20_000, 20_000), r'has 20000x20000 px, and at most 268 million are decoded'),
    (png(2**31 - 1, 2**31 - 1), 'is too large'), (b'P6 100000 100000 255\n' + bytes(99), 'is too large'),
    (b'', 'cannot be read as an image'), (b'<html></html>', 'cannot be read as an image'),
    (b'\xff\xd8\xff\xe0' + bytes(40), 'cannot be read as an image'),
], ids=['2^30 px', '400 million', 'more than memory', 'text header', 'empty', 'another file', 'only a header'])
def test_images_that_are_refused_before_they_are_decoded(content, message, tmp_path, monkeypatch):
    (tmp_path / 'a.png').write_bytes(content)
    if message != 'cannot be read as an image':
        monkeypatch.setattr(cv2, 'imdecode', None)
    with pytest.raises(ImageError, match=f'a.png {message}'):
        image_header(tmp_path / 'a.png')


def test_lies_within_the_limit_are_skipped(tmp_path):
    build = load(tmp_path)
    (tmp_path / f'train/{3:012d}.jpg').write_bytes(png(9000, 9000))
    dataset = build()
    assert dataset.prepare_data(3) is None and dataset.unreadable.nonzero().flatten().tolist() == [3]


@pytest.mark.parametrize('value', [b'6\0', b'\xff\xff', b''])
def test_exif_orientation_that_is_text(value, tmp_path):
    picture().save(tmp_path / 'a.jpg')
    jpeg = (tmp_path / 'a.jpg').read_bytes()
    tiff = b'II*\0' + struct.pack('<IHHHI', 8, 1, 0x0112, 2, len(value)) + value.ljust(4, b'\0') + struct.pack('<I', 0)
    body = b'Exif\0\0' + tiff
    (tmp_path / 'a.jpg').write_bytes(jpeg[:2] + b'\xff\xe1' + struct.pack('>H', len(body) + 2) + body + jpeg[2:])
    assert image_header(tmp_path / 'a.jpg') == (60, 40, 1)
    assert LoadImageFromFile()(dict(img_path=str(tmp_path / 'a.jpg')))['img'].shape == (40, 60, 3)


def test_images_that_exif_mirrors_are_told(tmp_path, log):
    dataset = load(tmp_path, 4)()
    for index, orientation in ((1, 3), (2, 2)):
        picture((96, 72)).save(tmp_path / f'train/{index:012d}.jpg', exif=exif(orientation))
    for index in range(4):
        dataset[index]
    assert log.text.count('is turned or mirrored as its EXIF orientation 3 asks, which the annotations may not') == 1
    report_images(dataset)
    assert '2 of 4 training images are turned or mirrored as their EXIF data asks' in log.text


# what leads out of the data

@pytest.mark.parametrize('kind', ['name', 'absolute', 'link', 'link of a folder'])
def test_files_outside_of_the_data(kind, tmp_path):
    build = load(tmp_path / 'data', 4)
    cv2.imwrite(str(tmp_path / 'secret.jpg'), scene(0)[0])
    path = tmp_path / 'data/train/000000000001.jpg'
    if kind in ('name', 'absolute'):
        file = tmp_path / 'data/annotations/instances_train.json'
        name = '../../secret.jpg' if kind == 'name' else str(tmp_path / 'secret.jpg')
        file.write_text(file.read_text().replace('000000000001.jpg', name))
    elif kind == 'link':
        path.unlink()
        path.symlink_to(tmp_path / 'secret.jpg')
    else:
        path.parent.rename(tmp_path / 'elsewhere')
        path.parent.symlink_to(tmp_path / 'elsewhere')
    with pytest.raises(UserError, match='which is outside of the data .*: if that is meant, say --allow-outside'):
        build()
    assert len(build(allow_outside=True)) == 4


def test_links_within_the_data_and_to_it_are_followed(tmp_path):
    load(tmp_path / 'data', 4)
    (tmp_path / 'data/train/000000000001.jpg').rename(tmp_path / 'data/a.jpg')
    (tmp_path / 'data/train/000000000001.jpg').symlink_to('../a.jpg')
    (tmp_path / 'link').symlink_to('data')
    dataset = CheckedCocoDataset(data_root=str(tmp_path / 'link'), ann_file='annotations/instances_train.json',
                                 data_prefix=dict(img='train/'), metainfo=dict(classes=('person', 'car')))
    assert len(dataset) == 4
