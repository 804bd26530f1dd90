"""The scripts of examples/ that show dicenet_mm with other tools, on the photographs that come with it."""
import re
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from dicenet_mm.datasets import sample_photographs

EXAMPLES = Path(__file__).parents[1] / 'examples'
CAT = sample_photographs()[1]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs a script as ``__main__`` in an empty folder; what it prints."""
    def run(name, *args):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, 'argv', [name, *map(str, args)])
        runpy.run_path(str(EXAMPLES / name), run_name='__main__')
        return capsys.readouterr().out
    return run


def test_mmdet_inferencer(run, tmp_path):
    assert run('mmdet_inferencer.py', CAT).splitlines()[-1].startswith('cat 0.')
    assert (tmp_path / 'outputs_mmdet/vis/cat.jpg').is_file() and (tmp_path / 'outputs_mmdet/preds/cat.json').is_file()


def test_sahi(run, tmp_path):
    """A picture four times as large, in whose corner the cat is."""
    pytest.importorskip('sahi')
    cat = cv2.resize(cv2.imread(str(CAT)), (320, 213))
    large = np.full((900, 1200, 3), 120, np.uint8)
    large[640:853, 840:1160] = cat
    cv2.imwrite(str(tmp_path / 'large.png'), large)
    found = run('sahi_tiling.py', 'large.png', '--tile', '320').splitlines()
    name, _, *box = found[0].replace('[', '').replace(']', '').replace(',', '').split()
    x1, y1, x2, y2 = map(float, box)
    assert name == 'cat' and 840 < (x1 + x2) / 2 < 1160 and 640 < (y1 + y2) / 2 < 853  # px of the whole picture
    assert cv2.imread(str(tmp_path / 'tiled/tiled.png')) is not None


def test_supervision(run, tmp_path):
    """A cat that goes from left to right over the middle of the film."""
    pytest.importorskip('supervision')
    pytest.importorskip('trackers')
    cat = cv2.resize(cv2.imread(str(CAT)), (240, 160))
    writer = cv2.VideoWriter(str(tmp_path / 'film.mp4'), cv2.VideoWriter_fourcc(*'mp4v'), 10, (640, 240))
    for x in range(0, 400, 16):
        frame = np.full((240, 640, 3), 120, np.uint8)
        frame[40:200, x:x + 240] = cat
        writer.write(frame)
    writer.release()
    said = run('supervision_counting.py', 'film.mp4', 'counted.mp4', '--score-thr', '0.25').splitlines()[-1]
    counts = sorted(map(int, re.findall(r'\d+', said)))
    assert counts[0] == 0 and counts[1] > 0  # this detector may take it for two
    assert cv2.VideoCapture(str(tmp_path / 'counted.mp4')).get(cv2.CAP_PROP_FRAME_COUNT) == 25


def test_fiftyone(run, tmp_path, monkeypatch):
    """FiftyOne brings a database that does not start everywhere."""
    fiftyone = pytest.importorskip('fiftyone')
    monkeypatch.setenv('FIFTYONE_DATABASE_DIR', str(tmp_path / 'database'))
    try:
        fiftyone.list_datasets()
    except Exception as error:
        pytest.skip(f'FiftyOne does not start here: {error}')
    assert run('fiftyone_dataset.py', CAT.parent, '--no-app').splitlines()[-1].endswith('things in 2 pictures')
