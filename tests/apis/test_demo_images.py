"""Images of every kind in one run of the demo: what cannot be used is named in one sentence, and the rest goes on."""
import json
import struct
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from dicenet_mm.apis import Inferencer, annotate, find_inputs
from dicenet_mm.zoo.index import BUILT_IN
from tests.data import scene
from tests.datasets.test_images import KINDS, png

TIFF = b'II*\0' + struct.pack('<I', 8)  # and the number of tags that is not there


def cut(suffix):
    def make(path):
        cv2.imwrite(str(path), scene(1)[0])
        path.write_bytes(path.read_bytes()[:-400])
    return make


def write(content):
    return lambda path: path.write_bytes(content)


def twelve_bits(path):
    """A JPEG of another depth, which no decoder here knows."""
    cv2.imwrite(str(path), scene(1)[0])
    content = bytearray(path.read_bytes())
    content[content.index(b'\xff\xc0') + 4] = 12
    path.write_bytes(content)


BAD = {
    'giant.png': (write(png(2**15, 2**15)), 'is too large'),
    'larger.png': (write(png(20_000, 20_000)), 'million are decoded'),
    'beyond.png': (write(png(2**31 - 1, 2**31 - 1)), ''),
    'lies.png': (write(png(3000, 3000)), ''),
    'text.ppm': (write(b'P6 100000 100000 255\n' + bytes(99)), ''),
    'cut.jpg': (cut('.jpg'), ''), 'cut2.png': (cut('.png'), ''), 'cut3.webp': (cut('.webp'), ''),
    'cut4.bmp': (cut('.bmp'), ''), 'cut5.tif': (cut('.tif'), ''),
    'empty.jpg': (write(b''), ''), 'page.jpg': (write(b'<html>not found</html>'), ''),
    'zeros.png': (write(bytes(5000)), ''), 'tags.tif': (write(TIFF), ''), 'twelve.jpg': (twelve_bits, ''),
    'film.mp4': (write(b'no film'), 'cannot be read as a video'),
}


@pytest.fixture(scope='module')
def inferencer():
    return Inferencer(BUILT_IN, device='cpu')


def test_one_sentence_each_and_the_rest_goes_on(inferencer, tmp_path, capsys):
    folder = tmp_path / 'in'
    folder.mkdir()
    for name, (make, _) in BAD.items():
        make(folder / name)
    (folder / 'link.jpg').symlink_to('nowhere.jpg')
    (folder / 'secret.jpg').mkdir()
    for name, make in KINDS.items():
        make(folder / name)
    Image.fromarray(np.zeros((1, 20000, 3), np.uint8)).save(folder / 'strip.png')
    files = find_inputs([str(folder)])
    start = time.monotonic()
    predictions = [found.entry for found in annotate(inferencer, files, tmp_path / 'out', batch_size=3)]
    said = capsys.readouterr().err
    notes = [line for line in said.splitlines() if 'note: ' in line]
    for name, (_, message) in BAD.items():
        about = [note for note in notes if f'/{name} ' in note or f'/{name}:' in note]
        assert len(about) == 1 and message in about[0] and 'left out' in about[0], (name, said)
    assert 'Traceback' not in said
    done = {Path(entry['input']).name: entry for entry in predictions}
    assert done.keys() >= KINDS.keys() - {'animated.gif'} and not done.keys() & BAD.keys()
    for name in KINDS.keys() & done.keys():
        output = tmp_path / 'out' / done[name]['output']
        assert cv2.imread(str(output)) is not None or output.suffix == '.mp4'
        turned = name.startswith('turned') and name.removeprefix('turned ')[0] not in '1234'
        size = (1, 40) if 'wide' in name else (1, 1) if 'one' in name else (40, 60) if turned else (60, 40)
        assert (done[name]['width'], done[name]['height']) == size, name
    assert json.loads((tmp_path / 'out/predictions.json').read_text()) == predictions
    assert time.monotonic() - start < 120
