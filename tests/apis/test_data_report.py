"""What is said of data before a training."""
import cv2
import numpy as np
import pytest
from PIL import Image

from dicenet_mm.apis import print_data
from tests.apis.test_user_layouts import content, read, write


@pytest.fixture
def root(tmp_path):
    """Eight images of noise to train on and three to validate on."""
    write(tmp_path / 'mine/annotations/train.json', content(8))
    write(tmp_path / 'mine/annotations/val.json', content(3, first=8))
    (tmp_path / 'mine/images').mkdir()
    for index in range(11):
        noise = np.random.default_rng(index).integers(0, 256, (72, 96, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f'mine/images/{index:06d}.png'), noise)
    return tmp_path / 'mine'


def said(tmp_path, root, capsys):
    _, notes, found = read(tmp_path, root)
    capsys.readouterr()
    print_data(found, notes)
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith('note: ')]


def test_nothing_is_said_of_good_data(tmp_path, root, capsys):
    assert said(tmp_path, root, capsys) == []


def test_images_in_two_splits_and_twice_in_one(tmp_path, root, capsys):
    """The pixels tell, not the bytes: one is a bitmap."""
    for source, copy in ((2, 9), (1, 5)):
        pixels = cv2.imread(str(root / f'images/{source:06d}.png'))
        cv2.imwrite(str(root / f'images/{copy:06d}.png'), pixels, [cv2.IMWRITE_PNG_COMPRESSION, 0])
    leaked, twice = said(tmp_path, root, capsys)
    assert leaked.startswith('note: 1 images have the pixels of one of another split, which makes the metric too good')
    assert '000002.png' in leaked and '000009.png' in leaked
    assert twice.startswith('note: 1 images have the pixels of another one of their split')
    assert '000001.png' in twice and '000005.png' in twice


def test_one_other_pixel_is_another_image(tmp_path, root, capsys):
    pixels = cv2.imread(str(root / 'images/000002.png'))
    pixels[5, 5, 0] ^= 1
    cv2.imwrite(str(root / 'images/000009.png'), pixels)
    assert said(tmp_path, root, capsys) == []


def test_classes_and_sizes(tmp_path, root, capsys):
    made = content(8)
    made['categories'] += [dict(id=3, name='axle'), dict(id=4, name='gear')]
    made['annotations'] += [dict(image_id=0, category_id=3, bbox=[index, 5, 1, 30]) for index in range(90)]
    made['annotations'] += [dict(image_id=1, category_id=3, bbox=[0, 0, 96, 71])]
    made['annotations'] = [entry for entry in made['annotations']
                           if entry['category_id'] != 2 or entry['image_id'] == 3]
    write(root / 'annotations/train.json', made)
    assert said(tmp_path, root, capsys) == [
        'note: gear: no box to train on, so that nothing is learned of it',
        'note: axle, gear: no box to validate on, so that nothing is measured of them',
        'note: axle has 91 boxes to train on and nut 1: what is rare is found rarely; more images of it help',
        'note: 90 of the 100 boxes to train on are narrower or lower than 2% of their image, of which little is left '
        'at the input size of a network; larger inputs or pieces of the images help',
        'note: 1 of the 100 boxes to train on fill more than 95% of their image: are they meant?']


def test_turned_and_unreadable_images(tmp_path, root, capsys):
    for index, orientation in ((0, 3), (1, 1), (2, 2)):
        path = root / f'images/{index:06d}.png'
        image = Image.open(path)
        image.load()
        exif = Image.Exif()
        exif[0x0112] = orientation
        image.save(path, exif=exif)
    (root / 'images/000004.png').write_bytes(b'no image')
    unreadable, turned = said(tmp_path, root, capsys)
    assert unreadable.startswith('note: 1 images cannot be read: ') and unreadable.endswith('000004.png')
    assert turned.startswith('note: 2 images are mirrored or turned upside down as their EXIF data asks')
