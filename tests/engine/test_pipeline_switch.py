"""Another pipeline for the last epochs, through any wrappers."""
from types import SimpleNamespace

import pytest
from mmengine.dataset import BaseDataset, ConcatDataset, RepeatDataset
from mmengine.logging import MMLogger

from dicenet_mm.datasets.nested import innermost
from dicenet_mm.engine.hooks import InnerPipelineSwitchHook


class Numbers(BaseDataset):
    """Three samples, their number under ``img``."""

    def load_data_list(self):
        return [dict(img=index) for index in range(3)]


@pytest.mark.parametrize('wrap', [lambda a, b: ConcatDataset([a, b]), lambda a, b: RepeatDataset(a, times=2)])
def test_switches_inside_wrappers(wrap):
    parts = [Numbers(), Numbers()]
    wrapped = wrap(*parts)
    assert next(innermost(wrapped)) is next(innermost(parts[0])) is parts[0]
    runner = SimpleNamespace(epoch=0, logger=MMLogger.get_instance('switch'),
                             train_dataloader=SimpleNamespace(dataset=wrapped))
    hook = InnerPipelineSwitchHook(switch_epoch=2, switch_pipeline=[lambda sample: sample['img'] * 10])
    for epoch, expected in ((0, dict(img=2, sample_idx=2)), (1, dict(img=2, sample_idx=2)), (2, 20), (3, 20)):
        runner.epoch = epoch
        hook.before_train_epoch(runner)
        assert wrapped[5] == wrapped[2] == expected
