"""Resuming from a stranger's file: only what fits the optimizer, the schedules and the average is taken over."""
import copy

import pytest
import torch
from mmengine.hooks import Hook

from dicenet_mm.errors import UserError

from .test_plain_checkpoint import run

ADAM = dict(type='AdamW', lr=.01, fused=True)  # whose kernel reads moments of another size beyond their memory


def moments(**values):
    return lambda made: made['optimizer']['state'][0].update(values)


def group(**values):
    return lambda made: made['optimizer']['param_groups'][0].update(values)


def schedule(**values):
    return lambda made: made['param_schedulers'][0].update(values)


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp('a')
    run(folder, 1, optimizer=dict(type='AdamW', lr=.01), hooks=[dict(type='UpdateEMAHook')])
    return torch.load(folder / 'epoch_1.pth', weights_only=True)


def resume(saved, folder, change, optimizer=ADAM):
    made = copy.deepcopy(saved)
    change(made)
    torch.save(made, folder / 'strange.pth')
    return run(folder, 2, load_from=folder / 'strange.pth', optimizer=optimizer, hooks=[dict(type='UpdateEMAHook')])


@pytest.mark.parametrize('change,message', [
    (moments(exp_avg=torch.zeros(10 ** 6)), r'exp_avg of parameter 0 of its optimizer is a tensor \(1000000,\)'),
    (moments(exp_avg_sq=torch.zeros(0)), r'exp_avg_sq of parameter 0 of its optimizer is a tensor \(0,\)'),
    (moments(exp_avg=torch.zeros(1, 1, dtype=torch.int64)), 'of int64, not a tensor'),
    (moments(exp_avg=3.), 'exp_avg of parameter 0'),
    (moments(step='many'), "step of parameter 0 of its optimizer is 'many'"),
    (moments(more=1), 'of another kind than AdamW'),
    (lambda made: made['optimizer']['state'][0].pop('step'), 'of another kind than AdamW'),
    (lambda made: made['optimizer']['state'].update({7: {}}), 'of another kind than AdamW'),
    (lambda made: made['optimizer'].update(state=[]), 'its optimizer has no state'),
    (lambda made: made['optimizer'].update(param_groups=[]), 'other groups of parameters'),
    (lambda made: made['optimizer']['param_groups'][0].update(params=[1, 0]), 'other groups of parameters'),
    (lambda made: made.update(optimizer=[1]), 'its optimizer is a list'),
    (group(lr='fast'), "lr is 'fast', not 0.001"), (group(lr=float('nan')), 'lr is nan'), (group(betas=[.9]), 'betas'),
    (group(lr=torch.zeros(9)), 'lr is a tensor'),
    (schedule(last_step='x'), "last_step is 'x'"), (schedule(base_values=[1., 2.]), 'base_values'),
    (lambda made: made.update(param_schedulers=made['param_schedulers'] * 2), 'another number of schedules'),
    (lambda made: made.update(param_schedulers=[[1]]), 'param_schedulers.0'),
    (lambda made: made.update(gradients=dict(a=[1])), 'its gradients are no tensors'),
    (lambda made: made['message_hub'].pop('resumed_keys'), 'has weights and no training to go on with'),
    (lambda made: made['meta'].pop('iter'), 'has weights and no training to go on with'),
    (lambda made: made['ema_state_dict'].update({'module.linear.weight': torch.zeros(3, 1)}), 'other weights'),
    (lambda made: made.update(ema_state_dict=[1]), 'a moving average of other weights'),
])
def test_what_does_not_fit_is_refused(change, message, saved, tmp_path):
    with pytest.raises(UserError, match=message) as error:
        resume(saved, tmp_path, change)
    assert str(error.value).isprintable() and ('strange.pth' in str(error.value) or 'average' in str(error.value))


def test_the_state_of_another_optimizer_is_refused(saved, tmp_path):
    with pytest.raises(UserError, match='of another kind than SGD'):
        resume(saved, tmp_path, lambda made: None, dict(type='SGD', lr=.01, momentum=.9))


class Look(Hook):
    """Keeps how the optimizer and the schedule begin."""

    def before_train(self, runner):
        Look.group = dict(runner.optim_wrapper.param_groups[0])
        Look.schedule = dict(vars(runner.param_schedulers[0]))


def test_switches_and_the_unknown_are_the_trainings_own(saved, tmp_path):
    """How to compute, functions by name, other attributes: none of them comes out of a file. Rates do."""
    made = copy.deepcopy(saved)
    group(fused=True, capturable=True, lr=.5, weight_decay=.25, more='x')(made)
    schedule(step='x', optimizer='x', param_name='weight_decay', end=5)(made)
    torch.save(made, tmp_path / 'strange.pth')
    run(tmp_path, 2, load_from=tmp_path / 'strange.pth', optimizer=dict(type='AdamW', lr=.01),
        hooks=[Look(), dict(type='UpdateEMAHook')])
    assert (Look.group['weight_decay'], Look.group['fused'], Look.group['capturable']) == (.25, None, False)
    assert 'more' not in Look.group and 'step' not in Look.schedule
    assert Look.schedule['param_name'] == 'lr' and Look.schedule['end'] == 5


@pytest.mark.parametrize('optimizer', [
    dict(type='SGD', lr=.01), dict(type='SGD', lr=.01, momentum=.9), dict(type='Adam', lr=.01, amsgrad=True),
    dict(type='RMSprop', lr=.01, centered=True), dict(type='Adagrad', lr=.01), dict(type='NAdam', lr=.01),
    dict(type='Adamax', lr=.01), dict(type='Adadelta')])
@pytest.mark.parametrize('schedules', [
    dict(type='OneCycleLR', eta_max=.1, total_steps=8, by_epoch=False, end=8),
    [dict(type='MultiStepLR', milestones=[1, 3, 6], by_epoch=False, end=8),
     dict(type='CosineAnnealingMomentum', T_max=4, end=4)]])
def test_every_optimizer_goes_on_where_it_was(optimizer, schedules, tmp_path):
    """Also schedules that hold functions."""
    momentum = 'momentum' in optimizer or optimizer['type'] in ('Adam', 'NAdam')
    if isinstance(schedules, list) and not momentum:
        schedules = schedules[:1]
    options = dict(optimizer=optimizer, schedules=schedules)
    whole = run(tmp_path / 'whole', 4, **options)
    run(tmp_path / 'a', 2, **options)
    resumed = run(tmp_path / 'a', 4, resume=True, **options)
    assert torch.equal(resumed.model.linear.weight, whole.model.linear.weight)
