"""Finding what was trained."""
import os

import pytest
import torch

from dicenet_mm.apis import find_model, latest_checkpoint, trained_models
from dicenet_mm.errors import UserError
from dicenet_mm.zoo import BUILT_IN


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
    assert find_model(None, tmp_path) == BUILT_IN


def test_says_what_there_is(tmp_path):
    make(tmp_path, 'ssd', 'epoch_1.pth')
    with pytest.raises(UserError, match='no trained model sdd; trained models in .*: ssd'):
        find_model('sdd', tmp_path)
    with pytest.raises(UserError, match='none'):
        find_model('sdd', tmp_path / 'nowhere')


def whole(folder, *names):
    for number, name in enumerate(names):
        torch.save(dict(meta=dict(epoch=number)), folder / name)
        os.utime(folder / name, (1000 + number, 1000 + number))


def test_resuming_walks_back_to_the_newest_whole_checkpoint(tmp_path):
    whole(tmp_path, 'epoch_1.pth', 'epoch_2.pth', 'epoch_3.pth')
    assert latest_checkpoint(tmp_path).name == 'epoch_3.pth'
    content = (tmp_path / 'epoch_3.pth').read_bytes()
    (tmp_path / 'epoch_3.pth').write_bytes(content[:len(content) // 2])
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_3.pth'))
    with pytest.warns(UserWarning, match=r'epoch_3.pth cannot be read .*goes on from .* before it, .*epoch_2'):
        assert latest_checkpoint(tmp_path).name == 'epoch_2.pth'
    for name in ('epoch_1.pth', 'epoch_2.pth'):
        (tmp_path / name).write_bytes(b'')
    with pytest.raises(UserError, match='no checkpoint of .* is whole: .*Train without --resume'):
        latest_checkpoint(tmp_path)


def test_a_copied_work_directory_resumes_from_its_own(tmp_path):
    for name in ('a', 'b'):
        (tmp_path / name).mkdir()
        whole(tmp_path / name, 'epoch_1.pth', 'epoch_2.pth')
        (tmp_path / name / 'last_checkpoint').write_text(str(tmp_path / 'a/epoch_1.pth'))
    assert latest_checkpoint(tmp_path / 'b') == tmp_path / 'b/epoch_1.pth'
    assert latest_checkpoint(tmp_path / 'none') is None


def test_one_dangling_link_spoils_nothing(tmp_path):
    make(tmp_path, 'ssd', 'epoch_1.pth')
    (tmp_path / 'ssd/epoch_2.pth').symlink_to('nowhere.pth')
    (tmp_path / 'other').symlink_to('nowhere')
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'empty/epoch_1.pth').symlink_to('nowhere.pth')
    assert list(trained_models(tmp_path)) == ['ssd'] and find_model('ssd', tmp_path).name == 'epoch_1.pth'
    assert latest_checkpoint(tmp_path / 'empty') is None
