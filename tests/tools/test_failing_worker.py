"""A process that loads images fails: one sentence, whichever of torch's errors tells of it."""
import sys

import pytest

from .test_commands import ROOT

TRACEBACK = 'Caught OSError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n  File "a"\n'
MEMORY = 'the system stopped it, mostly since memory ran out. Lower the num_workers or the batch_size'


@pytest.mark.parametrize('error,sentence', [
    (RuntimeError('DataLoader worker (pid 2285) is killed by signal: Killed. '), MEMORY),
    (RuntimeError('DataLoader worker (pid(s) 22) exited unexpectedly'), MEMORY),
    (ConnectionResetError(104, 'Connection reset by peer'), MEMORY),
    (EOFError(), MEMORY),
    (OSError(TRACEBACK + 'OSError: [Errno 24] Too many open files\n'), 'too many files are open (Too many open files)'),
    (ValueError(TRACEBACK + 'ValueError: no such colour\n'), 'error: no such colour (--traceback shows where)'),
])
def test_one_sentence(error, sentence, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    sys.modules.pop('command', None)
    import command
    said = command._sentence(error)
    assert said.startswith('error: ') and sentence in said and '\n' not in said and 'Traceback' not in said
