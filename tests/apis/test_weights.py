"""Checkpoints are loaded whole, or refused in words."""
import pickle

import pytest
import torch
from torch import nn

from dicenet_mm.apis import load_weights, read_checkpoint, require_fit
from dicenet_mm.errors import UserError


class Model(nn.Module):

    def __init__(self, width=4, classes=2):
        super().__init__()
        self.backbone = nn.Linear(3, width)
        self.head = nn.Linear(width, classes)


@pytest.mark.parametrize('wrap', [lambda state: state, lambda state: dict(state_dict=state, meta={})])
def test_loads(tmp_path, wrap):
    source, target = Model(), Model()
    torch.save(wrap(source.state_dict()), tmp_path / 'a.pth')
    load_weights(target, read_checkpoint(tmp_path / 'a.pth'), 'a.pth')
    assert torch.equal(source.head.weight, target.head.weight)


def test_another_width_is_named():
    with pytest.raises(UserError, match=r'(?s)a.pth does not fit this model.*backbone.weight.*\[8, 3\].*\[4, 3\]'):
        load_weights(Model(4), Model(8).state_dict(), 'a.pth')


def test_missing_and_left_over_weights_are_named():
    state = Model().state_dict()
    state['neck.weight'] = state.pop('head.bias')
    with pytest.raises(UserError, match='(?s)head.bias.*neck.weight'):
        load_weights(Model(), state, 'a.pth')


def test_start_for_another_training():
    require_fit(Model(classes=2), Model(classes=5).state_dict(), 'a.pth')  # a head of other classes is fine
    with pytest.raises(UserError, match=r'another backbone: backbone.weight is \(8, 3\) there and \(4, 3\) here'):
        require_fit(Model(4), Model(8).state_dict(), 'a.pth')
    with pytest.raises(UserError, match='no weight that this model knows'):
        require_fit(Model(), dict(other=torch.zeros(1)), 'a.pth')


class Harmful:

    def __reduce__(self):
        return print, ('this must never run', )


@pytest.mark.parametrize('content,message', [
    (b'', 'cannot be read as a checkpoint'),
    (b'no checkpoint', 'cannot be read as a checkpoint'),
    (pickle.dumps(Harmful()), 'cannot be read as a checkpoint'),
])
def test_other_files(tmp_path, capsys, content, message):
    (tmp_path / 'a.pth').write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_checkpoint(tmp_path / 'a.pth')
    assert 'never run' not in capsys.readouterr().out


def test_cut_off(tmp_path):
    torch.save(Model().state_dict(), tmp_path / 'a.pth')
    whole = (tmp_path / 'a.pth').read_bytes()
    (tmp_path / 'a.pth').write_bytes(whole[:len(whole) // 2])
    with pytest.raises(UserError, match='cut off'):
        read_checkpoint(tmp_path / 'a.pth')


def test_not_a_dict(tmp_path):
    torch.save([1], tmp_path / 'a.pth')
    with pytest.raises(UserError, match='holds a list'):
        read_checkpoint(tmp_path / 'a.pth')


@pytest.mark.parametrize('name,message', [('b.pth', 'did you mean .*a.pth'), ('.', 'is a folder')])
def test_missing(tmp_path, name, message):
    (tmp_path / 'a.pth').touch()
    with pytest.raises(UserError, match=message):
        read_checkpoint(tmp_path / name)
