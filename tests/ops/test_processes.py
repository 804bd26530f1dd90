"""The operators in forked children, workers of data loaders and threads: none hangs, all give the same bits."""
import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

import dicenet_mm
from dicenet_mm.layers import DiCEUnit
from dicenet_mm.models.backbones import DiCENet
from dicenet_mm.ops import dim_conv, library
from dicenet_mm.ops.dim_conv_fuse import dim_conv_fuse
from tests.naive import randomised

pytestmark = pytest.mark.skipif(not library.LOADED, reason='the compiled operators were not built')


@pytest.fixture
def two_threads():
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


class Case:
    """Some of each kind of operator, with work enough for several threads."""

    def __init__(self):
        self.fused = dicenet_mm.fuse(randomised(DiCEUnit(64, 64, (28, 28))))
        self.x, self.grad = torch.randn(4, 64, 28, 28), torch.randn(4, 192, 28, 28)
        self.kernels = [torch.randn(count, 3, 3) for count in (64, 28, 20)]
        self.rest = [*torch.randn(3, 192), torch.randn(64, 3), torch.zeros(192), torch.ones(192), True, 1e-5]

    def run(self):
        with torch.no_grad():
            return [self.fused(self.x), dim_conv(self.x, *self.kernels),
                    *torch.ops.dicenet_mm.dim_conv_backward(self.grad, self.x, *self.kernels, [True] * 4),
                    *dim_conv_fuse(self.x, *self.kernels, *self.rest)]


def same(left, right):
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.mark.skipif('fork' not in multiprocessing.get_all_start_methods(), reason='needs fork')
def test_a_forked_child_of_a_process_with_threads(two_threads):
    """The threads that ran in the parent are not there in the child, which must not wait for them."""
    case = Case()
    expected = case.run()
    child = multiprocessing.get_context('fork').Process(target=lambda: exit(0 if same(case.run(), expected) else 3))
    child.start()
    child.join(60)
    if child.exitcode is None:
        child.kill()
    assert child.exitcode == 0
    assert torch.get_num_threads() == 2 and same(case.run(), expected)


class Features(Dataset):
    """Data that the operators compute as they are asked for."""

    def __init__(self):
        self.fused, self.images = dicenet_mm.fuse(randomised(DiCENet(0.1))), torch.randn(6, 3, 64, 64)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        with torch.no_grad():
            return self.fused(self.images[None, index])[-1][0]


@pytest.mark.parametrize('start', multiprocessing.get_all_start_methods()[:1])
def test_workers_of_a_loader(start, two_threads):
    features = Features()
    expected = torch.stack([features[index] for index in range(len(features))])
    loader = DataLoader(features, batch_size=2, num_workers=2, multiprocessing_context=start, timeout=120)
    for _ in range(2):
        assert torch.equal(torch.cat(list(loader)), expected)


def test_several_threads_at_once(two_threads):
    """Each thread has scratch memory of its own."""
    cases = [Case() for _ in range(4)]
    expected = [case.run() for case in cases]
    with ThreadPoolExecutor(4) as threads:
        for _ in range(5):
            for got, wanted in zip(threads.map(Case.run, cases), expected):
                assert same(got, wanted)
