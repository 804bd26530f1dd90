"""Training the units side by side, typed as a person types it, on small generated images."""
import json

import cv2
import numpy as np
import pytest
import torch

from dicenet_mm.models.backbones import AblationShuffleNetV2
from tests.complexity import complexity
from tests.tools.test_commands import command

SMALL = ['--image-size', '32', '--width', '16', '--batch-size', '16']


@pytest.fixture(scope='module')
def stripes(tmp_path_factory):
    """Class folders of horizontal and of vertical stripes, at any phase, in noise."""
    folder = tmp_path_factory.mktemp('stripes')
    rng = np.random.default_rng(0)
    for split, number in (('train', 24), ('val', 30)):
        for name in ('horizontal', 'vertical'):
            place = folder / split / name
            place.mkdir(parents=True)
            for index in range(number):
                wave = 60 * np.sin(np.arange(32) * np.pi / 4 + rng.uniform(0, 6))
                image = 128 + wave[:, None] + rng.normal(0, 10, (32, 32))
                image = image if name == 'horizontal' else image.T
                cv2.imwrite(str(place / f'{index}.png'), np.clip(image, 0, 255).astype(np.uint8))
    return folder


def test_units_learn_and_are_compared(stripes, tmp_path, capsys):
    args = ['dwise+pointwise', 'dimconv+dimfuse', '--data', stripes, '--seeds', '2', '--epochs', '20', *SMALL]
    command('analysis/ablation.py', *args, '--json', tmp_path / 'a.json')
    printed = capsys.readouterr().out
    content = json.loads((tmp_path / 'a.json').read_text())
    assert content['scale'] == 'laptop' and 'Laptop scale' in printed
    assert (content['train_images'], content['val_images'], content['classes']) == (48, 60, 2)
    for result in content['results']:
        scores = np.array(result['accuracies'])
        assert len(scores) == 2 and scores.mean() >= 80  # of 50 by chance
        assert result['mean'] == pytest.approx(scores.mean()) and result['spread'] == pytest.approx(scores.std(ddof=1))
        line, = (line for line in printed.splitlines() if line.startswith(f'{result["unit"]} '))
        assert f'{scores.mean():.2f}' in line and f'{result["macs"] / 1e6:.2f}' in line
        with torch.device('meta'):
            macs, _ = complexity(AblationShuffleNetV2(result['unit'], 16, input_size=32).eval(), 32)
        assert result['macs'] == round(1e6 * macs) + 2 * 1024 and result['width'] == 16
    dice = content['results'][1]

    command('analysis/ablation.py', *args[1:4], '--seeds', '1', '--epochs', '20', *SMALL, '--json', tmp_path / 'b.json')
    again, = json.loads((tmp_path / 'b.json').read_text())['results']
    assert again['accuracies'] == dice['accuracies'][:1]  # a seed settles everything


def test_widths_that_match_the_macs(stripes, tmp_path):
    command('analysis/ablation.py', 'dwise+pointwise', 'dimconv+pointwise', '--match-macs', '--data', stripes,
            '--seeds', '1', '--epochs', '1', *SMALL, '--width', '32', '--json', tmp_path / 'a.json')
    first, dense = json.loads((tmp_path / 'a.json').read_text())['results']
    assert first['width'] == 32 > dense['width']  # a 1x1 convolution of three responses is three times as dear
    assert dense['macs'] == pytest.approx(first['macs'], rel=0.1)


def test_mistakes(stripes, tmp_path):
    (tmp_path / 'empty/train/a').mkdir(parents=True)
    (tmp_path / 'one/a').mkdir(parents=True)
    cv2.imwrite(str(tmp_path / 'one/a/0.png'), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / 'broken').mkdir()
    for name in ('a', 'b'):
        (tmp_path / 'broken' / name).mkdir()
        (tmp_path / 'broken' / name / '0.png').write_bytes(b'not an image')
    for args, message in (
            (['dimconv+dimfuze'], "there is no unit 'dimconv+dimfuze': choose among dwise+pointwise, dwise+SE"),
            (['--seeds', '0'], '--seeds must be at least 1, got 0'),
            (['--epochs', '-1'], '--epochs must be at least 1, got -1'),
            (['--batch-size', '1'], '--batch-size must be at least 2'),
            (['--width', '15'], 'width must be even'),
            (['--data', tmp_path / 'nothing'], 'is not a folder'),
            (['--data', tmp_path / 'empty'], 'have no image'),
            (['--data', tmp_path / 'one'], 'a single class folder'),
            (['--data', tmp_path / 'broken'], 'can be read'),
            (['--data', stripes, '--batch-size', '64'], '48 images to train on, fewer than a batch of 64')):
        with pytest.raises(SystemExit) as stop:
            command('analysis/ablation.py', *args)
        assert str(stop.value).startswith('error: ') and message in str(stop.value), args
