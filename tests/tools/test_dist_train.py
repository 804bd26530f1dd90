"""tools/dist_train.sh as a person runs it: two processes, told to stop, and one of them killed."""
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.data import make_voc

from .test_commands import CONFIG, ROOT, SMALL

pytestmark = pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason='needs gloo')
WAIT = 240  # s


@pytest.fixture
def start(tmp_path):
    """Starts the training, and ends what a failed test has left of it."""
    make_voc(tmp_path / 'data/VOCdevkit', dict(trainval=8, test=2), years=('VOC2007', 'VOC2012'))
    started = []

    def run(*options):
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            port = free.getsockname()[1]
        log = open(tmp_path / f'log{len(started)}', 'w+')
        environment = {**os.environ, 'PATH': f'{Path(sys.executable).parent}:{os.environ["PATH"]}', 'MASTER_PORT':
                       str(port), 'OMP_NUM_THREADS': '1', 'PYTHONUNBUFFERED': '1', 'CUDA_VISIBLE_DEVICES': ''}
        started.append(subprocess.Popen(
            [ROOT / 'tools/dist_train.sh', CONFIG, '2', *options, '--no-validate', '--work-dir', 'work',
             '--cfg-options', *SMALL, 'train_cfg.max_epochs=1000', 'default_hooks.checkpoint.interval=1000',
             'default_hooks.logger.interval=1'], cwd=tmp_path, stdout=log, stderr=log, env=environment,
            start_new_session=True))
        return started[-1], log.name

    yield run
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def wait_for(pattern, process, log):
    deadline = time.monotonic() + WAIT
    while True:
        text = Path(log).read_text()
        if re.search(pattern, text):
            return text
        assert process.poll() is None and time.monotonic() < deadline, text[-3000:]
        time.sleep(.2)


def workers(process):
    """The processes that torchrun has started, by rank."""
    found = {}
    for folder in Path('/proc').glob('[0-9]*'):
        try:
            parent = int((folder / 'stat').read_text().rpartition(')')[2].split()[1])
            rank = re.search(rb'\0RANK=(\d+)\0', (folder / 'environ').read_bytes())
        except (OSError, ValueError):
            continue
        if rank and parent == process.pid:
            found[int(rank[1])] = int(folder.name)
    return found


@pytest.mark.skipif(not Path('/proc/self/environ').exists(), reason='needs /proc')
def test_stopped_resumed_and_a_process_killed(start, tmp_path):
    process, log = start()
    wait_for(r'Epoch\(train\) +\[3\]', process, log)
    process.terminate()  # as a scheduler does
    assert process.wait(WAIT) != 0
    said = Path(log).read_text()
    saved, = (tmp_path / 'work').glob('*.pth')
    assert re.search(rf'stopped by SIGTERM after step \d+, which is saved in .*{saved.name}: continue with the same '
                     'command and --resume', said)

    process, log = start('--resume')
    wait_for(r'continues from .*stopped_iter_\d+.pth', process, log)
    wait_for(r'Epoch\(train\) +\[\d+\]', process, log)
    pair = workers(process)
    assert sorted(pair) == [0, 1]
    os.kill(pair[1], signal.SIGKILL)
    killed = time.monotonic()
    assert process.wait(60) != 0 and time.monotonic() - killed < 60
    said = Path(log).read_text()
    sentence = ('error: another process of this run has ended, or cannot be reached: what it said, if it could, is '
                'above. Run the command again, with --resume if it was training. What had been saved before is whole')
    assert sentence in said
    assert not any(Path('/proc', str(number)).exists() for number in pair.values())
    assert [file.name for file in (tmp_path / 'work').glob('*.pth')] == [saved.name]
