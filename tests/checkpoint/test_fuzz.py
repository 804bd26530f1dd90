"""Files that are changed at random, and writes that fail or are killed at any moment."""
import errno
import io
import multiprocessing
import os
import signal
import time

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmengine.logging import HistoryBuffer
from safetensors.torch import save

from dicenet_mm.checkpoint import read_checkpoint
from dicenet_mm.engine.hooks import WholeFileBackend
from dicenet_mm.errors import UserError

ROUNDS = int(os.environ.get('DICENET_MM_ROUNDS', 10))  # of kills


def saved(**form):
    content = io.BytesIO()
    torch.save(dict(state_dict=dict(a=torch.arange(6.).reshape(2, 3)), meta=dict(epoch=1, names=('a', 'b')),
                    history=HistoryBuffer([1., 2.], [1, 1])), content, **form)
    return content.getvalue()


WHOLE = {'.pth': saved(), '.pt': saved(_use_new_zipfile_serialization=False),
         '.safetensors': save(dict(a=torch.arange(6.)), dict(dicenet_mm='{"epoch": 1}'))}


@settings(max_examples=int(os.environ.get('DICENET_MM_EXAMPLES', 60)), deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(suffix=st.sampled_from(sorted(WHOLE)), data=st.data())
def test_changed_bytes(suffix, data, tmp_path):
    """Each file is read as plain data or refused in a sentence, whatever became of some of its bytes."""
    content = bytearray(WHOLE[suffix])
    for _ in range(data.draw(st.integers(1, 6), 'changes')):
        place = data.draw(st.integers(0, len(content) - 1), 'place')
        content[place:place + data.draw(st.integers(0, 3), 'removed')] = data.draw(st.binary(max_size=4), 'new')
        if not content:
            break
    (tmp_path / f'a{suffix}').write_bytes(content)
    try:
        assert isinstance(read_checkpoint(tmp_path / f'a{suffix}'), dict)
    except UserError as error:
        assert str(error).isprintable() and len(str(error)) < 1000


@pytest.mark.parametrize('number', [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS])
@pytest.mark.parametrize('step', ['open', 'fdopen', 'fsync', 'replace'])
def test_a_fault_at_any_step_of_a_write(tmp_path, monkeypatch, step, number):
    """What was there stays, and nothing half written is left."""
    file = tmp_path / 'a.pth'
    WholeFileBackend().put(b'whole', file)

    def fail(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, step, fail)
        with pytest.raises(OSError, match=os.strerror(number)):
            WholeFileBackend().put(b'other', file)
    assert file.read_bytes() == b'whole' and [each.name for each in tmp_path.iterdir()] == ['a.pth']


def test_a_write_that_is_cut_short(tmp_path):
    """The system takes fewer bytes than it was given, up to a limit on the size of files."""
    import resource
    file = tmp_path / 'a.pth'
    WholeFileBackend().put(b'whole', file)

    def write():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            WholeFileBackend().put(bytes(10 ** 6), file)
        except OSError as error:
            os._exit(error.errno)
        os._exit(0)

    process = multiprocessing.get_context('fork').Process(target=write)
    process.start()
    process.join()
    assert process.exitcode == errno.EFBIG
    assert file.read_bytes() == b'whole' and len(list(tmp_path.iterdir())) == 1


def test_kills_at_any_moment(tmp_path):
    """A process that saves without end is killed again and again: its file is always whole."""
    file = tmp_path / 'a.pth'

    def forever():
        number = 0
        while True:
            content = io.BytesIO()
            torch.save(dict(state_dict=dict(a=torch.full((100_000, ), float(number)))), content)
            WholeFileBackend().put(content.getvalue(), file)
            number += 1

    for round in range(ROUNDS):
        process = multiprocessing.get_context('fork').Process(target=forever)
        process.start()
        while round == 0 and not file.exists():
            time.sleep(0.001)
        time.sleep(0.002 + 0.037 * (round * 0.618 % 1))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        values = read_checkpoint(file)['state_dict']['a']
        assert (values == values[0]).all()
