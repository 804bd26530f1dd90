"""Class folders: labels by name, and what is refused."""
import pickle

import cv2
import numpy as np
import pytest
from mmengine.registry import DATASETS, init_default_scope

from dicenet_mm.datasets import BGRCIFAR10, DigitsDataset, ImageFolderDataset, ImageNetFolders
from dicenet_mm.datasets.classification import class_folders
from dicenet_mm.errors import UserError
from tests.data import make_folders, scene


def labels(dataset):
    return [(dataset.get_data_info(index)['img_path'].rsplit('/', 2)[-2], dataset.get_data_info(index)['gt_label'])
            for index in range(len(dataset))]


def test_classes_are_the_folders(tmp_path):
    make_folders(tmp_path, dict(dog=2, cat=1))
    (tmp_path / 'dog/old').mkdir()
    (tmp_path / 'dog/1.jpg').rename(tmp_path / 'dog/old/ONE.JPEG')
    (tmp_path / '.cache').mkdir()
    (tmp_path / 'notes.txt').touch()
    dataset = ImageFolderDataset(str(tmp_path))
    assert dataset.metainfo['classes'] == ('cat', 'dog')
    assert [dataset.get_data_info(i)['gt_label'] for i in range(3)] == [0, 1, 1]
    assert dataset.get_data_info(2)['img_path'].endswith('dog/old/ONE.JPEG')


def test_labels_follow_the_classes_that_are_given(tmp_path):
    """Of a validation set that lacks a class, or of a checkpoint whose classes have another order."""
    make_folders(tmp_path, dict(dog=1, ant=1))
    dataset = ImageFolderDataset(str(tmp_path), metainfo=dict(classes=('dog', 'cat', 'ant')))
    assert labels(dataset) == [('ant', 2), ('dog', 0)]


def test_unknown_folders_are_named(tmp_path):
    make_folders(tmp_path, dict(dog=1, ant=1))
    with pytest.raises(UserError, match=r'has class folders of unknown names \(ant\): the classes are dog, cat'):
        ImageFolderDataset(str(tmp_path), metainfo=dict(classes=('dog', 'cat')))


def test_a_list_instead_of_the_folders(tmp_path):
    make_folders(tmp_path, dict(dog=2, cat=2))
    (tmp_path / 'list.txt').write_text('cat/1.jpg 0\ndog/0.jpg 1')
    dataset = ImageFolderDataset(str(tmp_path), ann_file='list.txt', metainfo=dict(classes=('cat', 'dog')))
    assert labels(dataset) == [('cat', 0), ('dog', 1)]


def test_empty_classes(tmp_path):
    make_folders(tmp_path, dict(dog=1, cat=1))
    (tmp_path / 'cat/0.jpg').rename(tmp_path / 'cat/0.txt')
    with pytest.raises(UserError, match='1 of the 2 class folders .* have no image .*: cat; put some there'):
        class_folders(tmp_path)


def test_no_class_folders(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.jpg'), scene(0)[0])
    with pytest.raises(UserError, match='there are no class folders in'):
        class_folders(tmp_path)


def test_a_folder_that_cannot_be_opened(tmp_path, monkeypatch):
    make_folders(tmp_path, dict(dog=1, cat=1))

    def walk(top, onerror, followlinks):
        onerror(PermissionError(13, 'Permission denied', top))
    monkeypatch.setattr('os.walk', walk)
    with pytest.raises(UserError, match=r'cat cannot be opened \(Permission denied\): mend its permissions'):
        class_folders(tmp_path)


def test_imagenet_insists_on_its_thousand_classes(tmp_path):
    make_folders(tmp_path, {f'n{index:08d}': 1 for index in range(3)})
    with pytest.raises(UserError, match='has 3 class folders .* and ImageNet has 1000: complete it, or use --data'):
        ImageNetFolders(str(tmp_path))
    for index in range(3, 1000):
        (tmp_path / f'n{index:08d}').mkdir()
        (tmp_path / f'n{index:08d}/0.jpg').symlink_to(tmp_path / 'n00000000/0.jpg')
    dataset = ImageNetFolders(str(tmp_path))
    assert len(dataset) == 1000 and dataset.get_data_info(7)['gt_label'] == 7
    assert dataset.metainfo['classes'][0].startswith('tench') and len(dataset.metainfo['classes']) == 1000


def test_unreadable_images_are_replaced_in_training(tmp_path, log):
    make_folders(tmp_path, dict(dog=20, cat=20))
    (tmp_path / 'dog/3.jpg').write_bytes(b'no image')
    init_default_scope('mmpretrain')
    pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
    dataset = ImageFolderDataset(str(tmp_path), pipeline=pipeline)
    index = [dataset.get_data_info(i)['img_path'].endswith('dog/3.jpg') for i in range(40)].index(True)
    assert dataset[index]['inputs'].shape == (3, 72, 96)
    assert 'dog/3.jpg cannot be read as an image' in log.text
    with pytest.raises(UserError, match='dog/3.jpg cannot be read'):
        ImageFolderDataset(str(tmp_path), pipeline=pipeline, test_mode=True)[index]


def test_digits():
    """All 1797 of scikit-learn's, divided once, black on white."""
    from sklearn.datasets import load_digits
    digits = load_digits()
    parts = [DigitsDataset(split) for split in ('train', 'val')]
    assert [len(part) for part in parts] == [1437, 360]
    infos = [part.get_data_info(index) for part in parts for index in range(len(part))]
    assert [info['gt_label'] for info in infos] == digits.target.tolist()
    images = np.stack([info['img'] for info in infos])
    assert images.shape == (1797, 8, 8, 3) and images.dtype == np.uint8
    assert np.abs(images[..., 1] - 255 * (1 - digits.images / 16)).max() <= 0.5
    assert parts[0].metainfo['classes'][3] == 'three'


def test_cifar_gives_bgr(tmp_path, monkeypatch):
    """Batches in CIFAR's format with a red first image."""
    pixels = np.zeros((2, 3, 32, 32), np.uint8)
    pixels[0, 0] = 255
    (tmp_path / 'cifar-10-batches-py').mkdir()
    for name, _ in (*BGRCIFAR10.train_list, *BGRCIFAR10.test_list):
        (tmp_path / 'cifar-10-batches-py' / name).write_bytes(
            pickle.dumps(dict(data=pixels.reshape(2, -1), labels=[3, 5])))
    monkeypatch.setattr(BGRCIFAR10, '_check_integrity', lambda self: True)
    dataset = DATASETS.build(dict(type='BGRCIFAR10', data_root=str(tmp_path), split='test'))
    info = dataset.get_data_info(0)
    assert info['gt_label'] == 3 and (info['img'] == [0, 0, 255]).all() and info['ori_shape'] == (32, 32)
    assert len(BGRCIFAR10(data_root=str(tmp_path), split='train')) == 10
