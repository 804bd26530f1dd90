"""What an exported file says of the preparation of pictures."""
import pytest
from mmengine.config import Config

from dicenet_mm.errors import UserError
from dicenet_mm.export.metadata import steps
from dicenet_mm.export.source import spread


@pytest.mark.parametrize('config,expected', [
    ('ssd_dicenet_300_coco', [dict(resize=[300, 300], filter='bilinear')]),
    ('espnetv2_dicenet_256_voc12aug', [dict(resize=[256, 256], filter='antialiased')]),
    ('espnetv2_dicenet_512x256_cityscapes', [dict(resize=[512, 256], filter='antialiased')]),
    ('dicenet_imagenet_e150_b512', [dict(resize_short_side=256, filter='antialiased'), dict(center_crop=[224, 224])]),
    ('dicenet_digits', [dict(resize=[64, 64], filter='bilinear')])])
def test_the_steps_of_the_configurations(config, expected):
    assert steps(Config.fromfile(f'configs/{config}.py').test_dataloader.dataset.pipeline) == expected


def test_padding_and_proportions():
    pipeline = [dict(type='Resize', scale=(320, 320), keep_ratio=True),
                dict(type='Pad', size=(320, 320), pad_val=dict(img=(114, 114, 114))), dict(type='PackDetInputs')]
    assert steps(pipeline) == [dict(resize_inside=[320, 320], filter='bilinear'),
                               dict(pad=[320, 320], value=[114, 114, 114])]


def test_other_steps_are_refused():
    with pytest.raises(UserError, match='the test pipeline has RandomFlip'):
        steps([dict(type='RandomFlip', prob=0.5)])


def test_places_lie_evenly():
    assert spread(10, 3) == [0, 4, 9] and spread(3, 10) == [0, 1, 2] and spread(1, 1) == [0]
