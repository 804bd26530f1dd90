"""fuse(model, graph=True) without a card: which inputs are recorded, and what keeps threads apart."""
import io
import pickle
import threading
from copy import deepcopy

import pytest
import torch
from torch import nn

import dicenet_mm
from dicenet_mm.inference import graph
from dicenet_mm.layers import DiCEUnit


class OnCuda(torch.Tensor):
    """A tensor that says it is on a card."""
    is_cuda = True


@pytest.fixture
def recorded(monkeypatch):
    """The inputs that a graph was recorded for; a replay runs the model."""
    inputs = []

    def record(model, x):
        inputs.append(tuple(x.shape))
        return lambda x: model(x.as_subclass(torch.Tensor))
    monkeypatch.setattr(graph, 'record', record)
    return inputs


def images(*shape):
    return torch.rand(shape).as_subclass(OnCuda)


def test_on_a_cpu_the_model_runs_as_it_is(recorded):
    unit, x = DiCEUnit(8, 8, (7, 7)).eval(), torch.rand(2, 8, 9, 9)
    with torch.no_grad():
        assert torch.equal(dicenet_mm.fuse(unit, graph=True)(x), dicenet_mm.fuse(unit)(x))
    assert recorded == []


def test_each_kind_of_input_is_recorded_once(recorded, monkeypatch):
    monkeypatch.setattr(graph, 'MAX_GRAPHS', 2)
    model = graph.GraphedModel(nn.ReLU())
    for size in (4, 5, 4, 5, 6, 5, 4):  # 6 takes the place of 4, 4 that of 6
        assert model(images(1, 3, size, size)).shape == (1, 3, size, size)
    assert [shape[-1] for shape in recorded] == [4, 5, 6, 4]
    model.float()  # parameters may have moved
    model(images(1, 3, 4, 4))
    assert len(recorded) == 5


def test_a_gradient_of_the_input_runs_the_model(recorded):
    x = images(1, 3, 4, 4).requires_grad_()
    graph.GraphedModel(nn.ReLU())(x).sum().backward()
    assert recorded == []


def test_two_threads_at_once_are_refused(recorded):
    inside, leave = threading.Event(), threading.Event()

    class Waits(nn.Module):
        def forward(self, x):
            inside.set()
            assert leave.wait(20)
            return x

    model = graph.GraphedModel(Waits())
    thread = threading.Thread(target=model, args=[images(1, 3, 4, 4)])
    thread.start()
    try:
        assert inside.wait(20)
        with pytest.raises(RuntimeError, match='from two threads at once'):
            model(images(1, 3, 4, 4))
    finally:
        leave.set()
        thread.join(20)
    assert model(images(1, 3, 4, 4)).shape == (1, 3, 4, 4)  # once it is through, the next may


@pytest.mark.parametrize('copy', [deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_record_for_themselves(recorded, copy):
    model = graph.GraphedModel(nn.Conv2d(3, 2, 1)).eval()
    model(images(1, 3, 4, 4))
    other = copy(model)
    assert torch.equal(other(images(1, 3, 4, 4) * 0), model(images(1, 3, 4, 4) * 0)) and not other.training
    assert len(recorded) == 2
    torch.save(model.state_dict(), io.BytesIO())
