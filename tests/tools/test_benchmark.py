"""tools/benchmark.py on any models, and the picture of what it writes."""
import json
import runpy
import sys
from pathlib import Path

import cv2
import pytest

from dicenet_mm.ops import library
from tests.tools.test_commands import command

pytestmark = pytest.mark.skipif(not library.LOADED, reason='the compiled operators, which are measured, are not built')
TOOLS = Path(__file__).parents[2] / 'tools'


def benchmark(monkeypatch, *args):
    monkeypatch.setattr(sys, 'argv', ['benchmark.py', *map(str, args)])
    monkeypatch.syspath_prepend(str(TOOLS))
    runpy.run_path(str(TOOLS / 'benchmark.py'), run_name='__main__')


def test_models(monkeypatch, tmp_path, capsys):
    file = tmp_path / 'models.json'
    monkeypatch.chdir(tmp_path)
    benchmark(monkeypatch, 'models', '--models', 'dicenet_digits', 'torchvision/squeezenet1_1', '--side', 64,
              '--rounds', 1, '--seconds', 0, '--out', file)
    row, = json.loads(file.read_text())
    assert set(row['times']) == {f'{model}, {way}' for model in ('dicenet_digits', 'torchvision/squeezenet1_1')
                                 for way in ('fused', 'plain')}
    assert row['parameters']['torchvision/squeezenet1_1'] == 1235496  # as torchvision documents
    assert all(time['lowest'] > 0 for time in row['times'].values())
    if Path('/proc/self/clear_refs').exists():
        assert all(peak >= 0 for peak in row['peak_bytes'].values())
    command('analysis/plot_benchmark.py', file, '--scores', 'dicenet_digits=90', '--out', tmp_path / 'a.png')
    command('analysis/plot_benchmark.py', file, '--engines', 'plain', '--out', tmp_path / 'b.png')
    assert all(cv2.imread(str(tmp_path / name)).std() > 5 for name in ('a.png', 'b.png'))
    for args, sentence in {('--scores', 'resnet=1'): 'has no resnet; it has dicenet_digits, torchvision/squeezenet1_1',
                           ('--batch', 2): 'has no models at batch 2', ('--scores', 'a=b'): 'NAME=VALUE',
                           ('--engines', 'ncnn'): 'none of the engines ncnn'}.items():
        with pytest.raises(SystemExit, match=sentence):
            command('analysis/plot_benchmark.py', file, *args, '--out', tmp_path / 'c.png')


@pytest.mark.parametrize('args,sentence', [
    (['models'], 'models needs --models'),
    (['models', '--models', 'torchvision/none'], 'torchvision has no model none'),
])
def test_mistakes(monkeypatch, capsys, args, sentence):
    with pytest.raises(SystemExit):
        benchmark(monkeypatch, *args)
    assert sentence in capsys.readouterr().err
