"""Inputs that are no files, and results that never overwrite anything."""
import io
import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

from dicenet_mm.apis import Inferencer, annotate, find_inputs
from dicenet_mm.apis.inputs import is_camera, is_moving, shown, stem
from dicenet_mm.errors import UserError
from tests.data import scene


class Stub(Inferencer):
    """Finds nothing, at once."""

    def __init__(self):
        self.batches = []

    def predict(self, images):
        self.batches.append(len(images))
        return [{} for _ in images]

    def plain(self, sample, score_thr=0.):
        return dict(detections=[])

    def draw(self, image, sample, score_thr=0.3):
        return image


def film(path, frames, size=(96, 72)):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 10, size)
    for index in range(frames):
        writer.write(scene(index, size)[0])
    writer.release()


@pytest.fixture
def server(tmp_path):
    """The address of a server of a folder, and the folder."""
    folder = tmp_path / 'served'
    folder.mkdir()
    handler = type('Quiet', (SimpleHTTPRequestHandler,), dict(log_message=lambda *args: None))
    made = ThreadingHTTPServer(('127.0.0.1', 0), partial(handler, directory=folder))
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{made.server_port}', folder
    made.shutdown()
    made.server_close()


def run(inputs, out_dir, **options):
    return [found.entry for found in annotate(Stub(), find_inputs(inputs), out_dir, **options)]


def test_addresses(server, tmp_path):
    address, folder = server
    cv2.imwrite(str(folder / 'one.png'), scene(1)[0])
    film(folder / 'street.avi', 4)
    entries = run([f'{address}/one.png', f'{address}/street.avi'], tmp_path / 'out', batch_size=3)
    assert [(entry['output'], entry.get('frame')) for entry in entries] == [
        ('one.jpg', None), *(('street.mp4', frame) for frame in range(4))]
    assert json.loads((tmp_path / 'out/predictions.json').read_text()) == entries
    assert cv2.VideoCapture(str(tmp_path / 'out/street.mp4')).get(cv2.CAP_PROP_FRAME_COUNT) == 4


def test_what_cannot_be_fetched_is_named(server, tmp_path, capsys):
    address, folder = server
    (folder / 'text.jpg').write_text('no picture')
    with pytest.raises(UserError, match='none of the files can be read: '):
        run([f'{address}/none.jpg', f'{address}/text.jpg', f'{address}/none.mp4'], tmp_path / 'out')
    said = capsys.readouterr().err
    assert f'{address}/none.jpg cannot be fetched (File not found)' in said
    assert f'{address}/text.jpg is no picture that can be read' in said
    assert f'{address}/none.mp4 cannot be read as a video: check the address and the network' in said


def test_standard_input(tmp_path, monkeypatch, capsys):
    cv2.imwrite(str(tmp_path / 'a.png'), scene(0)[0])
    film(tmp_path / 'b.avi', 2)
    monkeypatch.setattr('sys.stdin', io.StringIO(f'{tmp_path}/a.png\n\n{tmp_path}/none.png\n{tmp_path}/b.avi\n'))
    entries = run(['-'], tmp_path / 'out')
    assert [entry['output'] for entry in entries] == ['a.jpg', 'b.mp4', 'b.mp4']
    assert f'there is no file {tmp_path}/none.png, and it matches none as a pattern: it is left out' in \
        capsys.readouterr().err


def test_nothing_is_written_over(tmp_path):
    """Neither results of two inputs of one name, nor what else lies in the folder."""
    for name in ('a/x.png', 'b/x.jpg', 'c/X.png'):
        (tmp_path / name).parent.mkdir()
        cv2.imwrite(str(tmp_path / name), scene(0)[0])
    film(tmp_path / 'a/x.avi', 2)
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out/x.jpg').write_text('mine')
    entries = run([tmp_path / 'a', tmp_path / 'b', tmp_path / 'c'], tmp_path / 'out')
    assert [entry['output'] for entry in entries] == ['x_2.mp4', 'x_2.mp4', 'x_3.jpg', 'x_4.jpg', 'X_5.jpg']
    assert all((tmp_path / 'out' / entry['output']).is_file() for entry in entries)
    assert (tmp_path / 'out/x.jpg').read_text() == 'mine'


def test_cameras_and_addresses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_camera('0') and is_camera(1) and not is_camera(True) and not is_camera('a') and is_moving(0)
    (tmp_path / '0').touch()
    assert not is_camera('0')  # a file
    secret = 'rtsp://me:secret@camera.local:554/front?x=1'
    assert shown(secret) == 'rtsp://camera.local:554/front?x=1' and stem(secret) == 'front' and is_moving(secret)
    assert stem(0) == 'camera_0' and stem('http://host:80') == 'host' and not is_moving('https://a/b/c.JPG?size=2')
    with pytest.raises(UserError, match='ftp://a/b.jpg cannot be read: addresses start with http, https, rtsp'):
        find_inputs(['ftp://a/b.jpg'])
    with pytest.raises(UserError, match='none of the files can be read: camera 63'):
        list(annotate(Stub(), find_inputs(['63'])))


class Endless:
    """A camera that goes on until the keyboard stops it."""

    def isOpened(self):
        return True

    def get(self, what):
        return 0.

    def read(self):
        self.frames = getattr(self, 'frames', 0) + 1
        if self.frames > 5:
            raise KeyboardInterrupt
        return True, np.zeros((72, 96, 3), np.uint8)

    def release(self):
        pass


def test_a_camera_is_stopped_and_its_film_is_whole(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('dicenet_mm.apis.frames.cv2.VideoCapture', lambda *args: Endless())
    entries = run(['0'], tmp_path / 'out')
    monkeypatch.undo()
    assert len(entries) == 5 and {entry['input'] for entry in entries} == {'camera 0'}
    assert cv2.VideoCapture(str(tmp_path / 'out/camera_0.mp4')).get(cv2.CAP_PROP_FRAME_COUNT) == 5
    said = capsys.readouterr()
    assert 'camera 0 goes on until you stop it with Ctrl+C' in said.err and 'camera 0: 5 frames, ' in said.out


def test_without_a_display_it_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv('DISPLAY', raising=False)
    monkeypatch.delenv('WAYLAND_DISPLAY', raising=False)
    assert len(run([scene(0)[0]], tmp_path / 'out', show=True)) == 1
    assert f'no window is shown, the results are in {tmp_path}/out' in capsys.readouterr().err
