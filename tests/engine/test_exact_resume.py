"""A training that was stopped and went on ends with the weights, bit for bit, of one that was never stopped."""
import os
import signal
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from dicenet_mm.apis import latest_checkpoint, load_config, use_data
from dicenet_mm.checkpoint import read_checkpoint
from dicenet_mm.engine import seeded_data
from dicenet_mm.errors import Stopped
from tests.data import make_folders, make_voc, make_voc_masks

CONFIGS = Path(__file__).parents[2] / 'configs'
EMA = dict(type='UpdateEMAHook', momentum=0.1, update_buffers=True)
TASKS = {
    'detection': ('ssd_dicenet_300_voc0712.py', {'train_cfg.max_epochs': 2, 'train_cfg.val_interval': 10}),
    'steps': ('ssd_dicenet_300_small_data.py', {'train_cfg.max_iters': 6, 'train_cfg.val_interval': 100,
                                                'model.backbone.widen_factor': 0.1}),
    'mosaic': ('rtm_dicenet_320_voc0712.py', {'train_cfg.max_epochs': 1, 'train_cfg.val_interval': 10,
                                              'optim_wrapper.accumulative_counts': 1, 'param_scheduler': [
                                                  dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=4)]}),
    'segmentation': ('espnetv2_dicenet_256_voc12aug.py', {'train_cfg.max_epochs': 2, 'train_cfg.val_interval': 10}),
    'classification': ('classification_dicenet_small_data.py', {'train_cfg.max_epochs': 2,
                                                                'train_cfg.val_interval': 10}),
}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data')
    make_voc(folder / 'detection', dict(trainval=9, test=2))
    names = [f'{index:03d}' for index in range(9)]
    make_voc_masks(folder / 'segmentation', dict(train=names, val=names[:2]))
    make_folders(folder / 'classification', dict(a=6, b=6))
    (folder / 'steps').symlink_to(folder / 'detection')
    make_voc(folder / 'mosaic', dict(trainval=10))
    return folder


@pytest.fixture(autouse=True)
def _no_report_of_the_environment(monkeypatch):
    """Each runner asks compilers and cards for their versions: seconds."""
    monkeypatch.setattr('mmengine.runner.runner.collect_env', dict)


class Signal(Hook):
    """Sends a signal to its own process in the middle of a step."""

    def __init__(self, step, number=signal.SIGTERM):
        self.step, self.number = step, number

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 == self.step:
            os.kill(os.getpid(), self.number)


def train(task, data, work_dir, stop=(), resume=False, **options):
    """Train a task; the runner, or None where it was stopped."""
    DefaultScope._instance_dict.clear()
    name, own = TASKS[task]
    cfg = load_config(CONFIGS / name, {
        'model.backbone.widen_factor': 0.1, 'train_dataloader.batch_size': 2, 'env_cfg.cudnn_benchmark': False,
        'train_dataloader.num_workers': 0, 'train_dataloader.persistent_workers': False, 'log_level': 'ERROR',
        **own, **options}, str(work_dir))
    use_data(cfg, str(data / task), ['train'])
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    cfg.randomness = dict(seed=None if resume else 7)  # a resumed training has the seed of the first
    cfg.experiment_name = f'{Path(work_dir).name}{len(os.listdir(work_dir)) if Path(work_dir).exists() else 0}'
    if resume:
        cfg.load_from, cfg.resume = str(latest_checkpoint(work_dir)), True
    runner = Runner.from_cfg(cfg)
    for step in stop:
        runner.register_hook(Signal(step))
    try:
        runner.train()
    except Stopped:
        assert stop
        return None
    return runner


def state(runner):
    """Everything that the training made, as the last checkpoint has it."""
    checkpoint = read_checkpoint(latest_checkpoint(runner.work_dir))
    return {key: checkpoint[key] for key in ('state_dict', 'ema_state_dict', 'optimizer', 'param_schedulers')
            if key in checkpoint}


def differences(a, b, where=''):
    """Where two states differ in a bit."""
    if isinstance(a, torch.Tensor):
        return [] if a.dtype == b.dtype and torch.equal(a, b) else [where]
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        return [each for key in a for each in differences(a[key], b[key], f'{where}.{key}')]
    if isinstance(a, (list, tuple)):
        assert len(a) == len(b), where
        return [each for index, (x, y) in enumerate(zip(a, b)) for each in differences(x, y, f'{where}.{index}')]
    return [] if a == b else [where]


@pytest.mark.parametrize('task,steps,options', [
    ('detection', [3, 6], {'custom_hooks': [EMA, dict(type='StopHook')], 'optim_wrapper.accumulative_counts': 4}),
    ('detection', [3], {'train_dataloader.num_workers': 2, 'train_dataloader.persistent_workers': True,
                        'optim_wrapper.accumulative_counts': 1}),
    ('mosaic', [3], {}),
    ('steps', [2], {'train_dataloader.num_workers': 2}),
    ('segmentation', [4, 6], {'custom_hooks': [EMA, dict(type='StopHook')]}),
    ('classification', [1, 8], {'optim_wrapper.accumulative_counts': 2}),
])
def test_stopped_or_not_the_weights_are_the_same(task, steps, options, data, tmp_path, monkeypatch):
    monkeypatch.setattr(seeded_data, 'KEPT', 8)  # mosaics are made of the samples of a turn, from the fifth on
    whole = state(train(task, data, tmp_path / 'whole', **options))
    assert train(task, data, tmp_path / 'parts', steps[:1], **options) is None
    for step in steps[1:]:
        assert train(task, data, tmp_path / 'parts', [step], resume=True, **options) is None
    parts = state(train(task, data, tmp_path / 'parts', resume=True, **options))
    assert differences(whole, parts) == []
    assert not list((tmp_path / 'parts').glob('stopped_*'))


def test_another_seed_gives_other_weights(data, tmp_path):
    """Or the comparison above would show nothing."""
    a = state(train('classification', data, tmp_path / 'a'))
    assert train('classification', data, tmp_path / 'c', [3]) is None
    checkpoint = torch.load(tmp_path / 'c/stopped_iter_3.pth', weights_only=True)
    checkpoint['meta']['seed'] = 8
    torch.save(checkpoint, tmp_path / 'c/stopped_iter_3.pth')
    assert differences(a, state(train('classification', data, tmp_path / 'c', resume=True)))
