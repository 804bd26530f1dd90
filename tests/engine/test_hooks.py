"""Hooks of the training loop, on runners made of what they read."""
import csv
import logging
from types import SimpleNamespace

import cv2
import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.runner import EpochBasedTrainLoop

from dicenet_mm.engine.hooks import CurvesHook, InvalidLossHook, MetricsTableHook, ProgressBarHook
from dicenet_mm.errors import UserError


@pytest.fixture
def runner(tmp_path):
    hub = MessageHub('test')
    for step in range(30):
        hub.update_scalar('train/loss', 3 / (step + 1))
        hub.update_scalar('train/lr', 0.01)
    return SimpleNamespace(work_dir=str(tmp_path), iter=6, epoch=1, max_iters=30, max_epochs=3, message_hub=hub,
                           logger=logging.getLogger('runner'), val_dataloader=range(4))


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_invalid_loss_stops(runner, value):
    outputs = dict(loss=torch.tensor(value), loss_cls=torch.tensor(1.), loss_bbox=torch.tensor(value))
    with pytest.raises(UserError, match=r'^loss_bbox became .* in iteration 7 \(epoch 2\): no checkpoint was saved'):
        InvalidLossHook().after_train_iter(runner, 0, outputs=outputs)


def test_invalid_loss_names_the_last_good_checkpoint(runner, tmp_path):
    (tmp_path / 'last_checkpoint').write_text('epoch_1.pth')
    with pytest.raises(UserError, match='the last good checkpoint is epoch_1.pth'):
        InvalidLossHook().after_train_iter(runner, 0, outputs=dict(loss=torch.tensor(float('nan'))))


@pytest.mark.filterwarnings('error')
def test_valid_loss_passes(runner):
    InvalidLossHook().after_train_iter(runner, 0, outputs=dict(loss=torch.tensor(1e30, requires_grad=True)))


def test_curves(runner, tmp_path):
    hook = CurvesHook(window=5)
    hook.after_train_epoch(runner)
    two = cv2.imread(str(tmp_path / 'curves.png'))
    runner.message_hub.update_scalar('val/pascal_voc/mAP', 0.5)
    hook.after_val_epoch(runner)
    three = cv2.imread(str(tmp_path / 'curves.png'))
    assert three.shape[1] == pytest.approx(1.5 * two.shape[1], rel=0.02)  # one panel more
    assert three.std() > 10


def test_curves_without_anything_to_draw(runner, tmp_path):
    runner.message_hub = MessageHub('empty')
    CurvesHook().after_train_epoch(runner)
    assert not list(tmp_path.iterdir())


def test_progress_bar_is_for_terminals(runner, capsys):
    hook = ProgressBarHook()
    hook.before_run(runner)
    hook.before_train(runner)
    hook.after_train_iter(runner, 0)
    hook.after_train(runner)
    hook.after_run(runner)
    assert capsys.readouterr().err == '' and not runner.logger.handlers


def test_elsewhere_a_line_breaks_a_long_silence(runner, monkeypatch, caplog):
    """Half a minute without a line, in training and in validating; what others log counts."""
    now = [0.]
    monkeypatch.setattr('time.monotonic', lambda: now[0])
    caplog.set_level('INFO', 'runner')
    hook = ProgressBarHook()
    hook.before_run(runner)
    hook.before_train(runner)
    for now[0] in (10., 29., 31., 40.):
        hook.after_train_iter(runner, 0)
    assert caplog.messages == ['epoch 2/3: 9 of 30 iterations in 00:31, 03:37 left, loss 0.1, lr 0.01']
    now[0] = 50.
    runner.logger.info('of another')
    now[0] = 70.
    hook.before_val(runner)
    hook.after_val_iter(runner, 0)
    now[0] = 81.
    hook.after_val_iter(runner, 1)
    hook.after_val(runner)
    hook.after_train(runner)
    hook.after_run(runner)
    assert caplog.messages[2:] == ['validation: 2 of 4 iterations in 00:11, 00:11 left']


def test_progress_bar_shows(runner, monkeypatch, capsys):
    monkeypatch.setattr('sys.stderr.isatty', lambda: True, raising=False)
    hook = ProgressBarHook()
    hook.before_run(runner)
    hook.before_train(runner)
    hook.after_train_iter(runner, 0)
    hook.after_train(runner)
    hook.after_run(runner)
    shown = capsys.readouterr().err
    assert 'epoch 2/3' in shown and '7/30' in shown and 'loss=0.1' in shown and 'lr=0.01' in shown


def test_metrics_side_by_side(runner, tmp_path, caplog):
    """Three evaluations, the second again after resuming from the first; metrics of single classes are left out."""
    caplog.set_level('INFO', 'runner')
    runner.train_loop = EpochBasedTrainLoop.__new__(EpochBasedTrainLoop)
    runner.val_dataloader = SimpleNamespace(dataset=SimpleNamespace(metainfo=dict(classes=('person', 'car'))))
    for part in ([(1, 0.1), (2, 0.2)], [(2, 0.25), (3, 0.3)]):
        hook = MetricsTableHook()
        hook.before_train(runner)
        for runner.epoch, score in part:
            runner.message_hub.update_scalar('train/loss', 10 * score)
            runner.message_hub.update_scalar('train/loss', 20 * score)
            hook.after_val_epoch(runner, {'pascal_voc/mAP': score, 'pascal_voc/AP/person': 1., 'time': 'text'})
    with open(tmp_path / 'metrics.csv') as file:
        rows = list(csv.DictReader(file))
    assert [(row['epoch'], row['loss'], row['pascal_voc/mAP']) for row in rows] == [
        ('1', '1.5', '0.1'), ('2', '3.75', '0.25'), ('3', '4.5', '0.3')]
    assert 'pascal_voc/AP/person' not in rows[0]
    table = [line.split() for line in caplog.messages[-1].strip().splitlines()]
    assert table == [['epoch', 'loss', 'lr', 'mAP'], ['1', '1.5', '0.01', '0.1'], ['2', '3.75', '0.01', '0.25'],
                     ['3', '4.5', '0.01', '0.3']]
