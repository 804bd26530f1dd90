"""Images of any kind, as the models take them."""
import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from dicenet_mm.apis.arrays import to_arrays
from dicenet_mm.errors import UserError

BGR = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)


@pytest.fixture
def file(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), BGR)
    return tmp_path / 'a.png'


def same(arrays, *expected):
    assert len(arrays) == len(expected)
    for array, image in zip(arrays, expected):
        assert array.dtype == np.uint8 and array.flags.c_contiguous and np.array_equal(array, image)


def test_one_of_each_kind(file):
    for image in (BGR, file, str(file), Image.fromarray(BGR[..., ::-1])):
        same(to_arrays(image), BGR)


def test_several_mixed(file):
    same(to_arrays([file, BGR[::-1], Image.fromarray(BGR[..., ::-1])]), BGR, BGR[::-1], BGR)
    same(to_arrays((file, )), BGR)
    same(to_arrays(np.stack([BGR, BGR + 1])), BGR, BGR + 1)
    assert to_arrays([]) == [] and to_arrays(np.zeros((0, 4, 4, 3), np.uint8)) == []


def test_grey_and_transparent():
    grey = BGR[..., 0]
    same(to_arrays(grey), np.dstack([grey] * 3))
    same(to_arrays([grey[..., None]]), np.dstack([grey] * 3))
    same(to_arrays(np.dstack([BGR, grey])), BGR)
    same(to_arrays(Image.fromarray(grey)), np.dstack([grey] * 3))


def test_pictures_of_pillow_are_turned_as_files_are(tmp_path):
    picture = Image.fromarray(BGR[..., ::-1])
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / 'turned.png', exif=exif)
    with Image.open(tmp_path / 'turned.png') as opened:
        array, = to_arrays(opened)
    assert array.shape == (4, 2, 3)
    same(to_arrays(tmp_path / 'turned.png'), array)


@pytest.mark.parametrize('image,sentence', [
    ('nothing.jpg', 'there is no image nothing.jpg: check the path'),
    (BGR.astype(np.float32), 'image 0 is an array of float32: give uint8, from 0 to 255'),
    ([BGR, BGR[..., :2]], r'image 1 is an array of shape \(2, 4, 2\): give \(height, width\)'),
    ([np.zeros((0, 4, 3), np.uint8)], r'image 0 is an array of shape \(0, 4, 3\)'),
    ([torch.zeros(3, 4, 4)], 'image 0 is a Tensor: give a file, a NumPy array or a picture of Pillow'),
    (3, 'images are files, NumPy arrays or pictures of Pillow, or a list of them, not a int'),
])
def test_what_is_no_image(image, sentence):
    with pytest.raises(UserError, match=sentence):
        to_arrays(image)


def test_a_file_that_is_no_image(tmp_path):
    (tmp_path / 'a.jpg').write_text('text')
    with pytest.raises(UserError, match='a.jpg cannot be read as an image'):
        to_arrays(tmp_path / 'a.jpg')
