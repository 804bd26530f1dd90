"""The paper's rates, epoch by epoch, alone and with what they must compose with."""
import pytest
import torch
from mmengine.optim import LinearLR
from mmengine.registry import PARAM_SCHEDULERS

from dicenet_mm.engine.schedulers import CyclicLR, HybridLR


def optimizer(*rates):
    return torch.optim.SGD([dict(params=[torch.nn.Parameter(torch.zeros(1))], lr=rate) for rate in rates], lr=1)


def rates(optim, scheduler, epochs):
    out = []
    for _ in range(epochs):
        out.append([group['lr'] for group in optim.param_groups])
        optim.step()
        scheduler.step()
    return out


def test_cyclic():
    optim = optimizer(0.1)
    got = [r[0] / 0.1 for r in rates(optim, CyclicLR(optim), 300)]
    assert got[:12] == pytest.approx([1, 5, 4, 3, 2, 1, 5, 4, 3, 2, 1, 5])
    assert got[50:53] == pytest.approx([1, 2.5, 2])  # halved at 51
    assert got[101] == pytest.approx(5 / 4) and got[131] == pytest.approx(5 / 8)
    assert got[281] == pytest.approx(5 / 256) and got[299] == pytest.approx(2 / 256)


@pytest.mark.parametrize('epochs', [100, 150, 300])
def test_hybrid(epochs):
    optim = optimizer(0.01)
    got = [r[0] / 0.01 for r in rates(optim, HybridLR(optim, end=epochs), epochs)]
    assert got[:7] == pytest.approx([1, 5, 4, 3, 2, 1, 5])
    assert got[51] == pytest.approx(5) and got[60] == pytest.approx(1)
    assert got[61] == pytest.approx(1 - 1 / (epochs - 60))
    assert got[-1] == pytest.approx(1 / (epochs - 60))
    assert all(a > b for a, b in zip(got[60:], got[61:]))


@pytest.mark.parametrize('end', [1, 5, 60, 61])
def test_hybrid_of_a_short_training(end):
    optim = optimizer(1.)
    got = [r[0] for r in rates(optim, HybridLR(optim, end=end), end + 2)]
    assert got[:end] == pytest.approx([1, *[5, 4, 3, 2, 1] * 12][:end])
    assert got[end] == got[end - 1]  # and stays


def test_groups_keep_their_ratio():
    optim = optimizer(0.1, 1.0)
    for low, high in rates(optim, HybridLR(optim, end=100), 100):
        assert high == pytest.approx(10 * low)


def test_chains_with_a_warm_up():
    optim = optimizer(0.1)
    hybrid = HybridLR(optim, end=100)
    warm_up = LinearLR(optim, start_factor=0.1, by_epoch=False, begin=0, end=10)
    seen = []
    for _ in range(4):
        for _ in range(4):
            seen.append(optim.param_groups[0]['lr'])
            optim.step()
            warm_up.step()
        hybrid.step()
    factor = [0.1 * i for i in range(1, 11)] + [1] * 6
    expected = [0.1 * f * c for f, c in zip(factor, [1] * 4 + [5] * 4 + [4] * 4 + [3] * 4)]
    assert seen == pytest.approx(expected)


@pytest.mark.parametrize('kind,kwargs', [(CyclicLR, {}), (HybridLR, dict(end=100))])
@pytest.mark.parametrize('at', [1, 49, 75])
def test_resumes(kind, kwargs, at):
    through = optimizer(0.1, 0.3)
    expected = rates(through, kind(through, **kwargs), 100)
    first = optimizer(0.1, 0.3)
    scheduler = kind(first, **kwargs)
    rates(first, scheduler, at)
    second = optimizer(0.1, 0.3)
    resumed = kind(second, **kwargs)
    second.load_state_dict(first.state_dict())
    resumed.load_state_dict(scheduler.state_dict())
    for got, want in zip(rates(second, resumed, 100 - at), expected[at:]):
        assert got == pytest.approx(want)


@pytest.mark.parametrize('name', ['CyclicLR', 'HybridLR'])
def test_registered(name):
    assert PARAM_SCHEDULERS.get(name).__module__ == 'dicenet_mm.engine.schedulers'
