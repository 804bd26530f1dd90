"""What --epochs, --lr and their like mean in a configuration."""
from argparse import Namespace
from pathlib import Path

import pytest
from mmengine.config import Config

from dicenet_mm.apis.habits import apply_habits, set_epochs, stop_early
from dicenet_mm.errors import UserError

CONFIGS = Path(__file__).parents[2] / 'configs'


def load(name):
    return Config.fromfile(CONFIGS / name, import_custom_modules=False)


def habits(**given):
    return Namespace(**dict(dict.fromkeys(
        ('epochs', 'batch_size', 'lr', 'workers', 'seed', 'patience', 'freeze', 'resume', 'start', 'log')), **given))


def test_each_is_written_where_it_is_read():
    cfg = load('ssd_dicenet_300_coco.py')
    cfg.load_from = 'a.pth'
    apply_habits(cfg, habits(epochs=7, batch_size=5, lr=0.3, workers=0, seed=3, freeze=2))
    assert cfg.train_cfg.max_epochs == 7 and cfg.train_dataloader.batch_size == 5
    assert cfg.optim_wrapper.optimizer.lr == 0.3 and cfg.randomness.seed == 3 and cfg.model.backbone.frozen_stages == 2
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        assert loader.num_workers == 0 and loader.persistent_workers is False


def test_what_is_not_given_stays():
    cfg = load('ssd_dicenet_300_coco.py')
    before = cfg.pretty_text
    apply_habits(cfg, habits())
    assert cfg.pretty_text == before


def test_epochs_of_a_length_in_steps():
    cfg = load('ssd_dicenet_300_small_data.py')
    apply_habits(cfg, habits(epochs=3))
    set_epochs(cfg, 3, images=80)
    assert cfg.train_cfg.max_iters == 30 and cfg.train_cfg.val_interval == 30  # batches of 8
    assert cfg.param_scheduler[0].end == 3 and 'end' not in cfg.param_scheduler[1]  # warm-up, and what follows
    set_epochs(cfg, 1000, images=80)
    assert cfg.train_cfg.max_iters == 10000


@pytest.mark.parametrize('name,metric', [
    ('ssd_dicenet_300_voc0712.py', 'pascal_voc/mAP'), ('ssd_dicenet_300_coco.py', 'coco/bbox_mAP'),
    ('espnetv2_dicenet_256_voc12aug.py', 'mIoU'), ('dicenet_digits.py', 'accuracy/top1')])
def test_patience_follows_the_metric_of_the_best_checkpoint(name, metric):
    cfg = load(name)
    stop_early(cfg, 4)
    hook = cfg.custom_hooks[-1]
    assert hook.type == 'EarlyStoppingHook' and hook.monitor == metric and hook.patience == 4 and hook.rule == 'greater'


@pytest.mark.parametrize('given,sentence', [
    (dict(epochs=0), '--epochs is 0: give a whole number from 1 on'),
    (dict(batch_size=-1), '--batch-size is -1: give a whole number from 1 on'),
    (dict(workers=-1), '--workers is -1: give a whole number from 0 on'),
    (dict(lr=0.), '--lr is 0.0: give a number above 0'),
    (dict(lr=float('nan')), '--lr is nan: give a number above 0'),
    (dict(freeze=1), '--freeze would hold random weights: say what to start from'),
])
def test_what_cannot_be_meant(given, sentence):
    with pytest.raises(UserError, match=sentence):
        apply_habits(load('ssd_dicenet_300_coco.py'), habits(**given))


def test_patience_without_evaluations():
    cfg = load('ssd_dicenet_300_coco.py')
    cfg.val_evaluator = None
    with pytest.raises(UserError, match='--patience counts evaluations, and there are none'):
        stop_early(cfg, 3)


def test_loggers(monkeypatch):
    monkeypatch.setattr('dicenet_mm.apis.habits.find_spec', lambda name: None if name == 'wandb' else name)
    cfg = load('ssd_dicenet_300_coco.py')
    apply_habits(cfg, habits(log=['tensorboard']))
    assert [backend.type for backend in cfg.visualizer.vis_backends] == ['JsonVisBackend', 'TensorboardVisBackend']
    with pytest.raises(UserError, match='--log wandb needs the package wandb: pip install wandb'):
        apply_habits(cfg, habits(log=['wandb']))
