"""The checkpoints of PlainCheckpointHook, from a run of mmengine's own Runner."""
import errno
import itertools
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.model import BaseModel
from mmengine.runner import CheckpointLoader, Runner
from torch import nn
from torch.utils.data import Dataset

from dicenet_mm.apis import latest_checkpoint
from dicenet_mm.engine import QuietRunner
from dicenet_mm.engine.hooks import PlainCheckpointHook, StopHook, WholeFileBackend
from dicenet_mm.engine.hooks.whole_file import remove_leftovers
from dicenet_mm.errors import Stopped, UserError

RUNS = itertools.count()


class Line(BaseModel):
    """y = w x + b, learned."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(1, 1)

    def forward(self, x, y, mode):
        error = self.linear(x) - y
        return dict(loss=error.square().mean()) if mode == 'loss' else [error]


class Points(Dataset):
    metainfo = dict(classes=('a', 'b'), palette=[(0, 0, 0), (9, 9, 9)])

    def __len__(self):
        return 4

    def __getitem__(self, i):
        return dict(x=torch.tensor([float(i)]), y=torch.tensor([2. * i + 1]))


class Rising(BaseMetric):
    """A NumPy score, as mmseg's IoUMetric gives, that rises or falls as told."""
    default_prefix = 'test'
    scores: list = []

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return dict(score=np.float32(self.scores.pop(0)))


def run(work_dir, epochs, scores=(), resume=None, hooks=(), load_from=None, loop=None, optimizer=None, schedules=None,
        **checkpoint):
    resume = load_from is not None if resume is None else resume
    torch.manual_seed(0)
    Rising.scores = list(scores)
    checkpoint = dict(dict(type='PlainCheckpointHook', interval=1, rule='greater'), **checkpoint)
    loader = dict(batch_size=2, num_workers=0, collate_fn=dict(type='default_collate'),
                  sampler=dict(type='DefaultSampler', shuffle=False))
    validation = dict(val_cfg=dict(), val_dataloader=dict(loader, dataset=Points()), val_evaluator=[Rising()])
    runner = Runner(
        Line(),
        str(work_dir),
        train_dataloader=dict(loader, dataset=Points()),
        train_cfg=loop or dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=optimizer or dict(type='SGD', lr=.01, momentum=.9)),
        param_scheduler=schedules or dict(type='LinearLR', start_factor=.1, end=4),
        default_hooks=dict(logger=dict(type='LoggerHook', interval=1), checkpoint=checkpoint),
        custom_hooks=list(hooks),
        randomness=dict(seed=0),
        resume=resume,
        load_from=load_from and str(load_from),
        log_level='ERROR',
        experiment_name=f'run_{next(RUNS)}',  # mmengine keeps one message hub per name
        **(validation if scores else {}))
    runner.train()
    return runner


def test_a_bare_torch_process_reads_it(tmp_path):
    run(tmp_path, 2, scores=[.5, .7], save_best='test/score', hooks=[dict(type='EMAHook')])
    read = ('import sys, torch\n'
            'checkpoint = torch.load(sys.argv[1], weights_only=True)\n'
            'assert "mmengine" not in sys.modules\n'
            'print(len(checkpoint["message_hub"]["log_scalars"]["train/loss"]["log_history"]),'
            ' round(checkpoint["message_hub"]["runtime_info"]["best_score"], 3))')
    command = [sys.executable, '-c', read, tmp_path / 'epoch_2.pth']
    out = subprocess.run(command, capture_output=True, text=True)
    assert out.stdout.split() == ['4', '0.7'], out.stderr


def test_resuming_continues_weights_and_log_history(tmp_path):
    whole = run(tmp_path / 'whole', 4)
    run(tmp_path / 'halves', 2)
    resumed = run(tmp_path / 'halves', 4, resume=True)
    assert torch.equal(resumed.model.linear.weight, whole.model.linear.weight)
    for name in ('train/loss', 'train/lr'):
        history, expected = (r.message_hub.get_scalar(name).data for r in (resumed, whole))
        assert history[0].tolist() == expected[0].tolist() and len(history[0]) == 8
        assert history[1].tolist() == expected[1].tolist()


def test_resuming_does_not_take_the_dataset_for_another(tmp_path, monkeypatch):
    run(tmp_path, 1)
    warned = []
    monkeypatch.setattr('mmengine.logging.MMLogger.warning', lambda self, text, *args: warned.append(text))
    run(tmp_path, 2, resume=True)
    assert not [text for text in warned if 'metainfo' in text]


@pytest.mark.parametrize('before, after', [('CheckpointHook', 'PlainCheckpointHook'),
                                           ('PlainCheckpointHook', 'CheckpointHook')])
def test_resumes_across_the_two_hooks(tmp_path, before, after):
    run(tmp_path, 2, type=before)
    assert run(tmp_path, 3, type=after, resume=True).iter == 6


def test_best_score_outlives_resuming(tmp_path):
    run(tmp_path, 2, scores=[.5, .7], save_best='test/score')
    run(tmp_path, 4, scores=[.6, .9], save_best='test/score', resume=True)
    assert [path.name for path in tmp_path.glob('best_*')] == ['best_test_score_epoch_4.pth']


def test_old_files_go_once_the_new_one_is_there(tmp_path):
    run(tmp_path, 3, scores=[.5, .7, .6], save_best='test/score', max_keep_ckpts=1)
    saved = sorted(path.name for path in tmp_path.glob('*.pth'))
    assert saved == ['best.pth', 'best_test_score_epoch_2.pth', 'epoch_3.pth']
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'epoch_3.pth')


def test_validating_an_epoch_again_keeps_the_better_file(tmp_path):
    runner = run(tmp_path, 1, scores=[.5], save_best='test/score')
    runner.call_hook('after_val_epoch', metrics={'test/score': .9})
    assert (tmp_path / 'best_test_score_epoch_1.pth').is_file()


def test_full_disk_loses_nothing_saved(tmp_path, monkeypatch):
    run(tmp_path, 2, max_keep_ckpts=1)

    def no_space(descriptor):
        raise OSError(errno.ENOSPC, 'No space left on device')

    with monkeypatch.context() as patch:
        patch.setattr(os, 'fsync', no_space)
        with pytest.raises(OSError, match='No space left'):
            run(tmp_path, 3, max_keep_ckpts=1, resume=True)
    assert [path.name for path in tmp_path.glob('*.pth*')] == ['epoch_2.pth']
    assert run(tmp_path, 3, max_keep_ckpts=1, resume=True).epoch == 3


def test_empty_last_checkpoint_is_repaired(tmp_path):
    run(tmp_path, 2)
    (tmp_path / 'last_checkpoint').write_text('')
    assert run(tmp_path, 3, resume=True).iter == 6
    assert len(MessageHub.get_current_instance().get_scalar('train/loss').data[0]) == 6


def test_killed_while_writing_leaves_the_earlier_file(tmp_path):
    """A process that dies with half of the new bytes written, with no chance to clean up."""
    path = tmp_path / 'epoch_1.pth'
    path.write_bytes(b'whole')

    def write():
        os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
        WholeFileBackend().put(b'other', path)

    process = multiprocessing.get_context('fork').Process(target=write)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert path.read_bytes() == b'whole'
    assert len(list(tmp_path.iterdir())) == 2
    remove_leftovers(tmp_path)  # as the next training does
    WholeFileBackend().put(b'other', path)
    assert [p.name for p in tmp_path.iterdir()] == ['epoch_1.pth'] and path.read_bytes() == b'other'


def test_links_are_replaced_not_followed(tmp_path):
    """A checkpoint, the pointer, and what is left of a killed write."""
    precious = tmp_path / 'precious'
    precious.write_text('precious')
    folder = tmp_path / 'a'
    folder.mkdir()
    for name in ('epoch_1.pth', 'last_checkpoint', 'epoch_1.pth.0123abcd.tmp'):
        (folder / name).symlink_to(precious)
    run(folder, 1)
    assert precious.read_text() == 'precious'
    assert not any(file.is_symlink() for file in folder.iterdir())
    assert (folder / 'last_checkpoint').read_text() == str(folder / 'epoch_1.pth')
    assert not list(folder.glob('*.tmp'))


def test_a_work_directory_has_one_training_at_a_time(tmp_path):
    """Another process has it; a process that was killed leaves it free."""
    hold = ('import fcntl, sys, time; file = open(sys.argv[1], "w"); fcntl.lockf(file, fcntl.LOCK_EX); '
            'file.write("process 12 on a machine"); file.flush(); print("held", flush=True); time.sleep(60)')
    holder = subprocess.Popen([sys.executable, '-c', hold, tmp_path / '.training'], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == 'held\n'
        with pytest.raises(UserError, match='is in use by another training .process 12 on a machine.: give another'):
            run(tmp_path, 1)
        assert not list(tmp_path.glob('*.pth'))
    finally:
        holder.kill()
        holder.wait()
    run(tmp_path, 1)


class Wanted(Hook):
    """A signal in the middle of a step, or of a validation."""

    def __init__(self, number, step=None):
        self.number, self.step = number, step

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 == self.step:
            os.kill(os.getpid(), self.number)

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        if self.step is None:
            os.kill(os.getpid(), self.number)


LOOP = dict(type='ExactEpochLoop', max_epochs=3)


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_saves_and_stops_after_the_step(tmp_path, number):
    whole = run(tmp_path / 'whole', 3, loop=LOOP)
    with pytest.raises(Stopped, match=r'stopped by SIG\w+ after step 3, which is saved in .*stopped_iter_3.pth: '
                       'continue with the same command and --resume') as stopped:
        run(tmp_path / 'a', 3, hooks=[Wanted(number, 3), dict(type='StopHook')], loop=LOOP)
    assert stopped.value.signal_number == number
    assert latest_checkpoint(tmp_path / 'a').name == 'stopped_iter_3.pth'
    resumed = run(tmp_path / 'a', 3, load_from=latest_checkpoint(tmp_path / 'a'), hooks=[dict(type='StopHook')],
                  loop=LOOP)
    assert torch.equal(resumed.model.linear.weight, whole.model.linear.weight) and resumed.iter == 6
    assert len(resumed.message_hub.get_scalar('train/loss').data[0]) == 6
    assert {file.name for file in (tmp_path / 'a').glob('*.pth')} == {'epoch_1.pth', 'epoch_2.pth', 'epoch_3.pth'}


def test_a_signal_while_validating(tmp_path):
    """The validation is made up for, with the averaged weights; the model has its own again."""
    hooks = [dict(type='UpdateEMAHook', momentum=.5), dict(type='StopHook')]
    scored = dict(save_best='test/score', loop=dict(LOOP, max_epochs=2))
    whole = run(tmp_path / 'whole', 2, [.5, .4], hooks=hooks, **scored)
    with pytest.raises(Stopped):
        run(tmp_path / 'a', 2, [.5, .4], hooks=[Wanted(signal.SIGTERM), *hooks], **scored)
    assert not list((tmp_path / 'a').glob('best_*'))
    resumed = run(tmp_path / 'a', 2, [.5, .4], load_from=latest_checkpoint(tmp_path / 'a'), hooks=hooks, **scored)
    assert Rising.scores == [] and [file.name for file in (tmp_path / 'a').glob('best_*')] == [
        'best_test_score_epoch_1.pth']
    for a, b in zip(whole.model.state_dict().values(), resumed.model.state_dict().values()):
        assert torch.equal(a, b)


def test_a_second_signal_leaves_at_once(tmp_path):
    """While the first one waits for the end of a step that does not end."""
    code = ('import os, signal, time\n'
            'from dicenet_mm.engine.hooks import StopHook\n'
            'hook = StopHook()\nhook.before_train(None)\n'
            'os.kill(os.getpid(), signal.SIGTERM)\nprint("waits", flush=True)\n'
            'os.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(60)\n')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == -signal.SIGTERM and done.stdout == 'waits\n'


def test_forked_children_are_ended_by_their_parent():
    """As metrics do with those that they share their work with: even before a child has taken its first step."""
    code = ('import os, signal, time\n'
            'from dicenet_mm.engine.hooks import StopHook\n'
            'if hasattr(os, "sched_setaffinity"):  # parent and child take turns\n'
            '    os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1])\n'
            'StopHook().before_train(None)  # of a training that an error has ended\n'
            'hook = StopHook()\nhook.before_train(None)\nended = 0\n'
            'for _ in range(20):\n'
            '    child = os.fork()\n'
            '    if child == 0:\n'
            '        time.sleep(3)\n'
            '        os._exit(0)\n'
            '    os.kill(child, signal.SIGTERM)\n'
            '    ended += os.WIFSIGNALED(os.waitpid(child, 0)[1])\n'
            'os.kill(os.getpid(), signal.SIGTERM)\n'
            'print(ended, hook.received == signal.SIGTERM)\n')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=120)
    assert done.stdout == '20 True\n'


class Breaks(Hook):
    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
        raise ValueError('broken')


def test_an_error_gives_signals_back(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), 'Runner', QuietRunner)
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with pytest.raises(ValueError, match='broken'):
            run(tmp_path, 1, hooks=[StopHook(), Breaks()])
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def test_the_best_has_one_name(tmp_path):
    run(tmp_path / 'a', 3, scores=[.5, .7, .6], save_best='test/score')
    assert os.readlink(tmp_path / 'a/best.pth') == 'best_test_score_epoch_2.pth'
    (tmp_path / 'a').rename(tmp_path / 'b')
    assert (tmp_path / 'b/best.pth').read_bytes() == (tmp_path / 'b/best_test_score_epoch_2.pth').read_bytes()
    assert len(list((tmp_path / 'b').glob('best*'))) == 2


def test_nothing_is_the_best_of_nothing(tmp_path):
    """As where the validation set has no boxes."""
    run(tmp_path, 2, scores=[float('nan')] * 2, save_best='test/score')
    assert not list(tmp_path.glob('best*'))


def test_what_has_no_plain_form_is_named():
    checkpoint = dict(state_dict={}, meta=dict(epoch=1, sizes=[{1, 2}]))
    with pytest.raises(TypeError, match=r'meta\.sizes\[0\] of the checkpoint is a set'):
        PlainCheckpointHook(interval=1).before_save_checkpoint(None, checkpoint)


def test_history_comes_back_as_it_was(tmp_path):
    checkpoint = dict(state_dict={}, message_hub=dict(log_scalars=dict(loss=HistoryBuffer([1., 2.5], [1, 2], 7))))
    PlainCheckpointHook(interval=1).before_save_checkpoint(None, checkpoint)
    assert type(checkpoint['message_hub']['log_scalars']['loss']) is dict
    torch.save(checkpoint, tmp_path / 'a.pth')
    restored = CheckpointLoader.load_checkpoint(str(tmp_path / 'a.pth'))['message_hub']['log_scalars']['loss']
    assert [x.tolist() for x in restored.data] == [[1., 2.5], [1, 2]] and restored.max_length == 7


def test_a_copied_work_directory_is_its_own(tmp_path):
    """Its better checkpoint replaces the one that was copied, not the original."""
    run(tmp_path / 'a', 2, scores=[.5, .7], save_best='test/score')
    shutil.copytree(tmp_path / 'a', tmp_path / 'b')
    (tmp_path / 'b/last_checkpoint').unlink()  # which names the original
    resumed = run(tmp_path / 'b', 3, scores=[.9], save_best='test/score', load_from=tmp_path / 'b/epoch_2.pth')
    assert resumed.epoch == 3
    assert [path.name for path in (tmp_path / 'a').glob('best_*')] == ['best_test_score_epoch_2.pth']
    assert [path.name for path in (tmp_path / 'b').glob('best_*')] == ['best_test_score_epoch_3.pth']


@pytest.mark.parametrize('kind', ['PlainCheckpointHook', 'CheckpointHook'])
@pytest.mark.parametrize('named', ['precious.pth', '../precious.pth', 'a', 'a/notes.pth', 'a/best_link.pth'])
def test_a_checkpoint_names_no_file_to_remove(tmp_path, named, kind):
    """Neither elsewhere, nor under another name here, nor through a link; not even of a plain CheckpointHook."""
    run(tmp_path / 'a', 1)
    for file in ('precious.pth', 'a/notes.pth'):
        (tmp_path / file).touch()
    (tmp_path / 'a/best_link.pth').symlink_to(tmp_path / 'precious.pth')
    checkpoint = torch.load(tmp_path / 'a/epoch_1.pth', weights_only=True)
    checkpoint['message_hub']['runtime_info'].update(
        best_ckpt=named if named.startswith('.') else str(tmp_path / named), best_score=0.,
        keep_ckpt_ids=['/../../precious'])
    torch.save(checkpoint, tmp_path / 'strange.pth')
    run(tmp_path / 'a', 2, scores=[.9], save_best='test/score', max_keep_ckpts=1, type=kind,
        load_from=tmp_path / 'strange.pth')
    assert (tmp_path / 'precious.pth').exists() and (tmp_path / 'a/notes.pth').exists()
    assert (tmp_path / 'a/best_link.pth').is_symlink()


def test_starting_from_a_checkpoint_replaces_none(tmp_path):
    """load_from is another training: what was best before stays."""
    run(tmp_path, 2, scores=[.5, .7], save_best='test/score')
    run(tmp_path, 1, scores=[.1], save_best='test/score', load_from=tmp_path / 'epoch_2.pth', resume=False)
    assert {path.name for path in tmp_path.glob('best_*')} == {
        'best_test_score_epoch_1.pth', 'best_test_score_epoch_2.pth'}


def test_is_registered_as_a_hook():
    from mmengine.registry import HOOKS
    assert issubclass(HOOKS.get('PlainCheckpointHook'), Hook)
