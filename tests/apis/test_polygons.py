"""YOLO's polygons as masks, against a naive test of each pixel's centre."""
from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import DATASETS
from PIL import Image

from dicenet_mm.errors import UserError
from tests.apis.test_user_layouts import image, write
from tests.apis.test_user_masks import use

WIDTH, HEIGHT = 96, 72
LARGE = [(8, 8), (80, 10), (70, 64), (10, 60)]
SMALL = [(30, 20), (50, 24), (36, 44)]


def row(label, corners):
    return f'{label} ' + ' '.join(f'{x / WIDTH} {y / HEIGHT}' for x, y in corners)


def inside(corners):
    """The pixels whose centre is inside (crossing number), and those that no edge comes near: float64, naive."""
    ys, xs = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    within, near = np.zeros((HEIGHT, WIDTH), bool), np.zeros((HEIGHT, WIDTH), bool)
    for (x1, y1), (x2, y2) in zip(corners, corners[1:] + corners[:1]):
        crosses = (y1 > ys) != (y2 > ys)
        within ^= crosses & (xs < (x2 - x1) * (ys - y1) / ((y2 - y1) or 1) + x1)
        share = np.clip(((xs - x1) * (x2 - x1) + (ys - y1) * (y2 - y1)) / ((x2 - x1)**2 + (y2 - y1)**2), 0, 1)
        near |= np.hypot(xs - x1 - share * (x2 - x1), ys - y1 - share * (y2 - y1)) < 1
    return within, ~near


@pytest.fixture
def folder(tmp_path):
    """Two splits; in each image a large and a small object, written in the wrong order, and a box."""
    root = tmp_path / 'mine'
    text = f'{row(1, SMALL)}\n{row(0, LARGE)}\n1 {88 / WIDTH} {36 / HEIGHT} {12 / WIDTH} {20 / HEIGHT}\n'
    for split, count in (('train', 4), ('valid', 2)):
        for index in range(count):
            image(root / f'{split}/images/{index}.jpg', 90, (WIDTH, HEIGHT))
            write(root / f'{split}/labels/{index}.txt', text if index else '')  # the first shows nothing
    write(root / 'data.yaml', 'train: ../train/images\nval: ../valid/images\nnames: [leaf, bug]\n')
    return root


def test_masks(folder, tmp_path):
    cfg, notes, found = use(tmp_path, folder)
    assert list(found['train'].classes) == ['background', 'leaf', 'bug'] and cfg.model.decode_head.num_classes == 3
    assert found['train'].counts == {0: 4, 1: 3, 2: 3} and found['val'].images == 2
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    info = dataset.get_data_info(1)
    assert info['img_path'] == str(folder / 'train/images/1.jpg') and not info['seg_map_path'].startswith(str(folder))
    mask = np.asarray(Image.open(info['seg_map_path']))
    assert not np.asarray(Image.open(dataset.get_data_info(0)['seg_map_path'])).any()
    (large, sure_large), (small, sure_small) = inside(LARGE), inside(SMALL)
    expected = np.where(small, 2, np.where(large, 1, 0))
    expected[26:46, 82:94][expected[26:46, 82:94] == 0] = 255  # the box, which has no polygon
    sure = sure_large & sure_small
    np.testing.assert_array_equal(mask[sure], expected[sure])
    assert sure.mean() > 0.9 and (mask != expected).mean() < 0.01
    assert any('the masks are made of its polygons' in note for note in notes)
    assert any('4 images have rows without a polygon, whose boxes are ignored' in note for note in notes)
    assert dataset[1]['inputs'].shape == (3, 256, 256)


def test_boxes_alone_are_no_masks(folder, tmp_path):
    for file in folder.rglob('labels/*.txt'):
        file.write_text('0 .5 .5 .2 .2\n')
    with pytest.raises(UserError, match='have boxes and no polygons, of which masks are made: take a configuration of'):
        use(tmp_path, folder)


def test_two_images_of_a_name(folder, tmp_path):
    image(folder / 'train/images/1.png', 90)
    with pytest.raises(UserError, match=f'images of one name but for their suffix: {Path("train/images/1")}; rename'):
        use(tmp_path, folder)
