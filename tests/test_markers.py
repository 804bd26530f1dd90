"""How tests that need a card begin."""
import pytest
import torch

from dicenet_mm.ops import library
from tests import conftest


class Item:
    def __init__(self, *markers):
        self.markers = markers

    def get_closest_marker(self, name):
        return name if name in self.markers else None


@pytest.mark.parametrize('card', [True, False])
@pytest.mark.parametrize('devices', [{'cpu'}, {'cpu', 'cuda'}], ids=str)
def test_a_card_without_operators_is_a_failure(monkeypatch, card, devices):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: card)
    monkeypatch.setattr(library, 'DEVICES', frozenset(devices))
    conftest.pytest_runtest_setup(Item('other'))
    if card and 'cuda' in devices:
        conftest.pytest_runtest_setup(Item('cuda'))
    else:
        expected = pytest.fail.Exception if card else pytest.skip.Exception
        with pytest.raises(expected, match='not built for it' if card else 'needs a CUDA device'):
            conftest.pytest_runtest_setup(Item('cuda'))
