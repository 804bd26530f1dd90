"""Finding what was trained."""
import os

import pytest

from dicenet_mm.apis import find_model, trained_models
from dicenet_mm.errors import UserError


def make(root, name, *files):
    (root / name).mkdir()
    for number, file in enumerate(files):
        path = root / name / file
        path.touch()
        os.utime(path, (1000 + number, 1000 + number + len(list(root.iterdir()))))


def test_best_else_last_newest_first(tmp_path):
    make(tmp_path, 'ssd', 'epoch_1.pth', 'best_mAP_epoch_1.pth', 'epoch_2.pth')
    make(tmp_path, 'quickstart', 'epoch_9.pth', 'epoch_10.pth')
    make(tmp_path, 'empty', 'log.txt', 'converted.pth')
    os.utime(tmp_path / 'quickstart/epoch_10.pth', (5000, 5000))
    assert {key: value.name for key, value in trained_models(tmp_path).items()} == {
        'quickstart': 'epoch_10.pth', 'ssd': 'best_mAP_epoch_1.pth'}
    assert list(trained_models(tmp_path)) == ['quickstart', 'ssd']
    assert find_model('ssd', tmp_path).name == 'best_mAP_epoch_1.pth'
    assert find_model(None, tmp_path).parent.name == 'quickstart'


def test_says_what_there_is(tmp_path):
    make(tmp_path, 'ssd', 'epoch_1.pth')
    with pytest.raises(UserError, match='no trained model sdd; trained models in .*: ssd'):
        find_model('sdd', tmp_path)
    with pytest.raises(UserError, match='run "make quickstart" first'):
        find_model(None, tmp_path)
    with pytest.raises(UserError, match='none'):
        find_model(None, tmp_path / 'nowhere')
