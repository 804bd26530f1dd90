"""``dicenet_mm COMMAND``, and configurations by name."""
import subprocess
import sys
from pathlib import Path

import pytest

import dicenet_mm_cli
from dicenet_mm.errors import UserError
from dicenet_mm.paths import find_config, own_configs, typed

ROOT = Path(__file__).parents[1]


def run(*args, cwd):
    code = f'import runpy; runpy.run_path({str(ROOT / "dicenet_mm_cli.py")!r})["main"]()'
    return subprocess.run([sys.executable, '-c', code, *args], cwd=cwd, capture_output=True, text=True, timeout=120)


def test_lists_the_commands(tmp_path):
    shown = run('--help', cwd=tmp_path)
    names = [line.split()[0] for line in shown.stdout.splitlines() if line.startswith('  ')]
    assert names[:5] == ['train', 'test', 'demo', 'export', 'models'] and 'get_flops' in names
    assert 'command' not in names and shown.returncode == 0 and '  train              Train a model.\n' in shown.stdout


@pytest.mark.parametrize('args,sentence', [
    (['trian'], 'error: there is no command trian: did you mean train? ("dicenet_mm --help" lists them)\n'),
    (['train', 'ssd_dicenet_300_koko'], 'error: there is no configuration ssd_dicenet_300_koko: did you mean '
                                        'ssd_dicenet_300_coco?\n'),
    (['test', 'quickstart'], 'error: the following arguments are required: checkpoint (--help lists the options)\n'),
])
def test_mistakes(args, sentence, tmp_path):
    found = run(*args, cwd=tmp_path)
    assert found.stderr == sentence and found.returncode == 1 and not found.stdout


def test_help_says_what_is_typed(tmp_path):
    assert run('train', '--help', cwd=tmp_path).stdout.startswith('usage: dicenet_mm train [-h]')


def test_runs_a_tool(tmp_path):
    shown = run('models', 'voc-320', cwd=tmp_path)
    assert 'rtm-dicenet-1.0-voc-320' in shown.stdout and shown.returncode == 0, shown.stderr
    shown = run('models', 'none-such', cwd=tmp_path)
    assert shown.stderr.endswith('matches none-such: "dicenet_mm models" lists all\n')


def test_every_tool_with_options_is_a_command():
    assert {'publish_model', 'convert_edgenets', 'get_flops'} <= dicenet_mm_cli.tools().keys()


def test_configurations_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expected = ROOT / 'configs/ssd_dicenet_300_coco.py'
    for name in ('ssd_dicenet_300_coco', 'ssd_dicenet_300_coco.py', 'configs/ssd_dicenet_300_coco.py',
                 str(expected), expected):
        assert find_config(name).resolve() == expected, name
    assert find_config('ssd_vgg_300_coco').resolve() == ROOT / 'configs/baselines/ssd_vgg_300_coco.py'
    assert find_config('baselines/ssd_vgg_300_coco').resolve() == ROOT / 'configs/baselines/ssd_vgg_300_coco.py'
    Path('quickstart.py').touch()
    assert find_config('quickstart.py') == Path('quickstart.py')  # one's own goes before
    assert 'ssd_300' not in own_configs()
    for name in ('ssd_300', '../setup.py', 'configs/none.py', 'sub/ssd_dicenet_300_coco.py'):
        with pytest.raises(UserError, match='there is no configuration'):
            find_config(name)


@pytest.mark.parametrize('script,expected', [
    ('tools/train.py', 'python tools/test.py'), ('../x/tools/demo.py', 'python ../x/tools/test.py'),
    ('dicenet_mm train', 'dicenet_mm test'), ('/usr/bin/ipython', 'dicenet_mm test')])
def test_commands_as_they_are_typed(script, expected, monkeypatch):
    monkeypatch.setattr(sys, 'argv', [script])
    assert typed('test') == expected
