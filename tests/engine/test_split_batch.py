"""A batch that does not fit the memory is taken in parts."""
from types import SimpleNamespace

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from torch import nn

from dicenet_mm.engine.hooks import SplitBatchHook


class Small(BaseModel):
    """A regression whose memory holds a few images only."""

    def __init__(self, holds, norm=False):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(3, 1)
        self.norm = nn.BatchNorm1d(3) if norm else nn.Identity()
        self.holds, self.seen = holds, []

    def forward(self, inputs, data_samples=None, mode='loss'):
        self.seen.append(len(inputs))
        if len(inputs) > self.holds:
            raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB')
        return dict(loss=(self.layer(self.norm(inputs)) - torch.stack(data_samples)).square().mean())


def train(model, sizes=(7, 7, 4), accumulate=1):
    """Steps of SGD; the logged losses."""
    generator = torch.Generator().manual_seed(1)
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), accumulative_counts=accumulate)
    wrapper.initialize_count_status(model, 0, len(sizes))
    warned = []
    runner = SimpleNamespace(model=model, logger=SimpleNamespace(warning=warned.append))
    hook, losses = SplitBatchHook(), []
    hook.before_train(runner)
    for size in sizes:
        batch = dict(inputs=torch.randn(size, 3, generator=generator),
                     data_samples=list(torch.randn(size, 1, generator=generator)))
        losses.append(float(model.train_step(batch, optim_wrapper=wrapper)['loss']))
    hook.after_train(runner)
    assert 'train_step' not in vars(model)
    return losses, warned


@pytest.mark.parametrize('accumulate', [1, 3])
def test_parts_are_worth_the_whole(accumulate):
    whole, split = Small(100), Small(2)
    expected, none = train(whole, accumulate=accumulate)
    losses, warned = train(split, accumulate=accumulate)
    assert losses == pytest.approx(expected) and not none
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(split.state_dict()[name], value)
    assert split.seen == [7, 4, 2, 2, 1, 2] + [2, 2, 1, 2] + [2, 2]
    assert len(warned) == 2 and warned[1].startswith('the memory does not hold a batch of 7 images: from here on 2 go')


def test_what_fits_stays_whole():
    model = Small(7)
    train(model)
    assert model.seen == [7, 7, 4]


def test_normalisation_sees_two_images_at_least():
    model = Small(1, norm=True)
    with pytest.raises(torch.OutOfMemoryError):
        train(model)
    assert model.seen == [7, 4, 2]


def test_other_errors_stay():
    model = Small(100)
    model.layer = nn.Linear(2, 1)
    with pytest.raises(RuntimeError, match='shapes cannot be multiplied'):
        train(model)
