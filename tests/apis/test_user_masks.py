"""A person's own masks, in the layouts they come in."""
import shutil
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from dicenet_mm.apis import check_data, load_config, print_data, use_data
from dicenet_mm.errors import UserError
from tests.data import class_mask, make_pairs, make_voc_masks, scene

CONFIG = Path(__file__).parents[2] / 'configs/espnetv2_dicenet_256_voc12aug.py'
NAMES = [f'img_{index}' for index in range(20)]


def use(tmp_path, root, splits=('train', 'val'), classes=None):
    cfg = load_config(str(CONFIG), dict(train_dataloader=dict(batch_size=2)), work_dir=str(tmp_path / 'work'))
    notes = use_data(cfg, str(root), splits, classes)
    return cfg, notes, check_data(cfg, splits, thorough=True)


def flat(root, masks='masks', **kwargs):
    make_pairs(root / 'images', root / masks, NAMES, **kwargs)


def split_below(root):
    for split, names in dict(train=NAMES[:14], val=NAMES[14:]).items():
        make_pairs(root / 'images' / split, root / 'masks' / split, names)


def split_above(root):
    for split, names in dict(training=NAMES[:14], validation=NAMES[14:]).items():
        make_pairs(root / split / 'image', root / split / 'mask', names)


def voc(root):
    make_voc_masks(root, dict(train=NAMES[:14], val=NAMES[14:]))


def voc_below(root):
    make_voc_masks(root / 'VOCdevkit/VOC2012', dict(train=NAMES[:14], val=NAMES[14:]))


def beside(root):
    """Roboflow's: a mask beside each image, and a table of the classes."""
    for split, names in dict(train=NAMES[:14], valid=NAMES[14:]).items():
        make_pairs(root / split, root / split, names, mask_suffix='_mask.png')
        (root / split / '_classes.csv').write_text('Pixel Value, Class\n0, sky\n1, house\n2, tree\n')


def labelme(root):
    """labelme2voc's of old: arrays, masks and pictures in three folders, and a class for 255."""
    voc_names = dict(train=NAMES[:14], val=NAMES[14:])
    make_voc_masks(root, voc_names)
    (root / 'SegmentationClass').rename(root / 'SegmentationClassPNG')
    shutil.copytree(root / 'JPEGImages', root / 'SegmentationClassVisualization')
    (root / 'SegmentationClass').mkdir()
    for name in NAMES:
        np.save(root / f'SegmentationClass/{name}.npy', class_mask(0))
    (root / 'class_names.txt').write_text('__ignore__\nsky\nhouse\ntree\n')


def littered(root):
    flat(root)
    for folder in (root / 'images', root / 'masks'):
        for name in ('._img_0.png', '.DS_Store', 'Thumbs.db', 'img_0.txt'):
            (folder / name).write_bytes(b'a')
    for path in (root / 'images').glob('*_1*.jpg'):
        path.with_suffix('.json').write_text('{}')


@pytest.mark.parametrize('make,counts', [
    (beside, (14, 6)), (labelme, (14, 6)), (littered, (18, 2)),
    (flat, (18, 2)), (lambda root: flat(root, 'Labels', mask_suffix='_mask.png'), (18, 2)),
    (lambda root: flat(root, suffix='.PNG'), (18, 2)), (split_below, (14, 6)), (split_above, (14, 6)), (voc, (14, 6)),
    (voc_below, (14, 6)),
], ids=['Roboflow', 'labelme', 'littered', 'flat', 'other names', 'other suffix', 'splits below', 'splits above',
        'VOC', 'VOCdevkit'])
def test_layouts(tmp_path, make, counts):
    make(tmp_path / 'mine')
    if make not in (beside, labelme):
        (tmp_path / 'mine/classes.txt').write_bytes('sky\n house\ntree\n'.encode('utf-16'))
    cfg, _, found = use(tmp_path, tmp_path / 'mine', ('train', 'val', 'test'))
    assert (found['train'].images, found['val'].images) == counts and found['test'].images == counts[1]
    assert list(found['train'].classes) == ['sky', 'house', 'tree'] and cfg.model.decode_head.num_classes == 3
    dataset = cfg.train_dataloader.dataset
    assert dataset.pipeline == load_config(str(CONFIG)).train_pipeline  # which stays
    assert len(dataset.metainfo.palette) == 3


def test_the_held_out_tenth_is_apart_and_the_same_every_time(tmp_path):
    flat(tmp_path / 'mine')
    lists = []
    for _ in range(2):
        cfg, notes, _ = use(tmp_path, tmp_path / 'mine')
        lists.append([Path(cfg[f'{split}_dataloader'].dataset.ann_file).read_text().split()
                      for split in ('train', 'val')])
    assert lists[0] == lists[1] and sorted(sum(lists[0], [])) == sorted(NAMES)
    assert any('a tenth of' in note for note in notes)


def test_images_are_counted_by_class(tmp_path, capsys):
    voc(tmp_path / 'mine')
    (tmp_path / 'mine/classes.txt').write_text('sky\nhouse\ntree\n')
    _, notes, found = use(tmp_path, tmp_path / 'mine')
    expected = Counter(label for index in range(14) for label in np.unique(class_mask(index)).tolist() if label != 255)
    assert found['train'].counts == expected
    print_data(found, notes)
    rows = [line.replace('│', ' ').split() for line in capsys.readouterr().out.splitlines()]
    assert ['house', str(expected[1]), str(found['val'].counts[1])] in rows and not any('boxes' in row for row in rows)


def test_class_names(tmp_path):
    """From a file, or the checkpoint, or else numbered by the masks."""
    flat(tmp_path / 'mine')
    cfg, notes, _ = use(tmp_path, tmp_path / 'mine')
    assert list(cfg.train_dataloader.dataset.metainfo.classes) == ['background', 'class_1', 'class_2']
    assert any('there is no classes.txt' in note for note in notes)
    cfg, _, _ = use(tmp_path, tmp_path / 'mine', ('test',), ['a', 'b', 'c', 'd'])
    assert list(cfg.test_dataloader.dataset.metainfo.classes) == ['a', 'b', 'c', 'd']
    (tmp_path / 'mine/labels.txt').write_text('a\nc\nb\n')
    with pytest.raises(UserError, match=r'has the classes a, c, b, the checkpoint was trained on a, b, c: test on'):
        use(tmp_path, tmp_path / 'mine', ('test',), ['a', 'b', 'c'])


def no_masks(root):
    root.mkdir()
    cv2.imwrite(str(root / '1.png'), scene(1)[0])


def some_without(root):
    flat(root)
    for name in NAMES[3:5]:
        (root / f'masks/{name}.png').unlink()


def zero_and_255(root):
    flat(root)
    for path in (root / 'masks').iterdir():
        Image.fromarray(np.uint8(255) * (np.asarray(Image.open(path)) == 1)).save(path)


def as_jpeg(root):
    flat(root)
    for path in (root / 'masks').iterdir():
        Image.open(path).convert('L').save(path.with_suffix('.jpg'))
        path.unlink()
    (root / 'classes.txt').write_text('sky\nhouse\ntree\n')


def in_grey(root, levels=(0, 127, 254)):
    flat(root)
    for path in (root / 'masks').iterdir():
        mask = np.asarray(Image.open(path))
        Image.fromarray(np.where(mask == 255, 255, np.array([*levels, *[0] * 253])[mask]).astype(np.uint8)).save(path)


def smoothed(root):
    in_grey(root, (0, 100, 200))
    for path in (root / 'masks').iterdir():
        mask = np.asarray(Image.open(path))
        cv2.imwrite(str(path), cv2.GaussianBlur(mask, (25, 25), 9))


def one_class(root):
    flat(root)
    (root / 'classes.txt').write_text('house\n')


def too_few_names(root):
    flat(root)
    (root / 'classes.txt').write_text('sky\nhouse\n')


def colours(root):
    flat(root)
    for path in (root / 'masks').iterdir():
        Image.open(path).convert('RGB').save(path)


def another_size(root):
    flat(root)
    Image.fromarray(class_mask(0, (50, 40))).save(root / 'masks/img_0.png')


def listed_but_missing(root):
    voc(root)
    (root / 'JPEGImages/img_15.jpg').unlink()


def empty_list(root):
    voc(root)
    (root / 'ImageSets/Segmentation/val.txt').write_text('\n')


def no_twin(root):
    split_below(root)
    shutil.rmtree(root / 'masks/val')


@pytest.mark.parametrize('make,message', [
    (lambda root: root.mkdir(), 'expected JPEGImages/ with SegmentationClass/ (VOC), images/ with masks/, or '
                                'images/ with labels/ of polygons (YOLO); found nothing; is it the right folder?'),
    (no_masks, 'found 1 .png files; there are images but no masks'),
    (some_without, '2 of the 20 images of {root}/images have no mask in {root}/masks: img_3.png, img_4.png are'),
    (zero_and_255, 'the masks hold only 0 and 255, and 255 is ignored: give the classes the numbers 0, 1, 2'),
    (as_jpeg, 'is a JPEG file, whose compression changes the values (it holds '),
    (in_grey, 'the masks hold the values 0, 127, 254, which look like levels of grey: give the classes the'),
    (lambda root: in_grey(root, (0, 10, 20)), 'the masks hold the values 0, 10, 20, which look like levels of grey'),
    (smoothed, 'which look like levels of grey: give the classes the numbers 0, 1, 2 and so on, without smoothing'),
    (one_class, '{root}/classes.txt needs the names of two classes or more, one a line'),
    (too_few_names, ' pixels of class 2, but the classes are 0 to 1 (255 is ignored)'),
    (colours, 'is a colour picture (RGB), not a mask of class indices: save it as a grey or palette PNG'),
    (another_size, '{root}/masks/img_0.png has 50x40 px, but its image {root}/images/img_0.jpg has 96x72'),
    (listed_but_missing, '1 of the 6 images in {root}/ImageSets/Segmentation/val.txt are not in {root}/JPEGImages: '
                         'img_15'),
    (empty_list, '{root}/ImageSets/Segmentation/val.txt is empty: it needs the names of images, one a line'),
    (no_twin, '{root}/images/val has images, but there is no folder {root}/masks/val with their masks'),
    (lambda root: make_pairs(root / 'images', root / 'masks', NAMES[:1]), '{root}/images has a single image: two are'),
    (lambda root: (root / 'images').mkdir(parents=True) or (root / 'masks').mkdir(), 'found images/, masks/; is it'),
    (lambda root: make_voc_masks(root, dict(val=NAMES)), 'has no train split, only val and test'),
], ids=lambda value: getattr(value, '__name__', None))
def test_wrong_folders(make, message, tmp_path):
    root = tmp_path.resolve() / 'mine'
    make(root)
    with pytest.raises(UserError) as stop:
        use(tmp_path, root)
    assert message.format(root=root) in str(stop.value)


def test_configured_masks_that_are_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_voc_masks('data/VOCdevkit/VOC2012', dict(train_aug=NAMES[:14], val=NAMES[14:]))
    cfg = load_config(str(CONFIG), dict(train_dataloader=dict(batch_size=2)))
    with pytest.raises(UserError, match='there is no folder .*SegmentationClassAug .data_prefix.seg_map_path of train'):
        check_data(cfg)
    Path('data/VOCdevkit/VOC2012/SegmentationClass').rename('data/VOCdevkit/VOC2012/SegmentationClassAug')
    assert check_data(cfg)['val'].images == 6
    for name in NAMES[:2]:
        Path(f'data/VOCdevkit/VOC2012/SegmentationClassAug/{name}.png').unlink()
    with pytest.raises(UserError, match='2 of the 14 masks of .*train_aug.txt are missing: .*img_0.png, .*img_1.png'):
        check_data(cfg)


def test_real_voc(shared, tmp_path):
    cfg, _, found = use(tmp_path, shared / 'data/VOCdevkit', ('val',),
                        classes=[f'class {index}' for index in range(21)])
    assert found['val'].images == 150 and found['val'].counts[0] >= 140
    assert cfg.train_dataloader.dataset.ann_file.endswith('data/train.txt')
