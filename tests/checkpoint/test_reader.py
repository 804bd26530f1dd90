"""Any file is read as tensors and plain data, or refused in a sentence; nothing in it runs."""
import hashlib
import io
import json
import os
import struct
import threading
import time
import zipfile
from collections import OrderedDict
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader
from safetensors.torch import save_file

from dicenet_mm.checkpoint import dataset_meta, read_checkpoint
from dicenet_mm.errors import UserError

from .strange import Named, Pickler, Reduced, rewrite

LEGACY = dict(_use_new_zipfile_serialization=False)


@pytest.fixture
def file(tmp_path):
    return tmp_path / 'a.pth'


def older(**extra):
    """What mmengine's runner saves: its buffers, NumPy's numbers and arrays."""
    info = dict(best=np.float32(.5), n=np.int64(3), ok=np.bool_(True))
    return dict(message_hub=dict(log_scalars=dict(loss=HistoryBuffer([.5, .25], [1, 2], 9)), runtime_info=info),
                meta=dict(palette=np.array([[1, 2, 3]], np.uint8), columns=np.asfortranarray([[1., 2.], [3., 4.]]),
                          big=np.arange(3).astype('>i4'), none=np.zeros((0, 4))), **extra)


@pytest.mark.parametrize('form', [{}, LEGACY])
def test_what_mmengine_saved_is_read_as_numbers(file, form):
    torch.save(older(state_dict=OrderedDict(a=torch.ones(2))), file, **form)
    read = read_checkpoint(file)
    assert read['meta'] == dict(palette=[[1, 2, 3]], columns=[[1., 2.], [3., 4.]], big=[0, 1, 2], none=[])
    info = read['message_hub']['runtime_info']
    assert info == dict(best=.5, n=3, ok=True) and [type(value) for value in info.values()] == [float, int, bool]
    loss = read['message_hub']['log_scalars']['loss']
    assert type(loss) is dict and loss['max_length'] == 9
    assert loss['log_history'].tolist() == [.5, .25] and loss['count_history'].tolist() == [1, 2]


def test_older_numpy(file, tmp_path):
    """NumPy 1 called numpy._core numpy.core."""
    torch.save(older(), tmp_path / 'new.pth')
    rewrite(tmp_path / 'new.pth', file, lambda name, content: content.replace(b'numpy._core', b'numpy.core'))
    assert read_checkpoint(file)['message_hub']['runtime_info']['n'] == 3


def test_types_are_exact(file):
    weight = torch.nn.Parameter(torch.ones(2, 3).t())
    weight.note = 'attributes stay behind'
    state = OrderedDict(w=weight)
    state._metadata = OrderedDict({'': dict(version=2, more=[1])})
    torch.save(dict(state_dict=state, meta=dict(size=torch.Size([1, 2]), kinds={'b', 'a'}, raw=b'x')), file)
    read = read_checkpoint(file)
    assert type(read) is dict and type(read['state_dict']['w']) is torch.Tensor
    assert not hasattr(read['state_dict']['w'], 'note') and not read['state_dict']['w'].requires_grad
    assert torch.equal(read['state_dict']['w'], torch.ones(3, 2))
    assert read['state_dict']._metadata == {'': dict(version=2)}
    assert read['meta'] == dict(size=(1, 2), kinds=['a', 'b'], raw=b'x') and type(read['meta']['size']) is tuple


def test_what_is_allowed_elsewhere_in_the_process_is_not_here(file):
    torch.save(dict(a=Reduced(os.getcwd)), file)
    allowed = torch.serialization.get_safe_globals()
    torch.serialization.add_safe_globals([(os.getcwd, 'posix.getcwd'), (getattr, 'builtins.getattr'), np.dtype])
    try:
        with pytest.raises(UserError, match='posix.getcwd'):
            read_checkpoint(file)
        assert np.dtype in torch.serialization.get_safe_globals()
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(allowed)


CODE = [
    lambda ran: Reduced(os.system, f'touch {ran}'),
    lambda ran: Reduced(eval, f'open({str(ran)!r}, "w")'),
    lambda ran: Reduced(getattr, np.ndarray, 'tofile'),
    lambda ran: Reduced(getattr, Reduced(getattr, HistoryBuffer, 'mean'), '__globals__'),
    lambda ran: np.array([Reduced(os.system, f'touch {ran}')], object),
    lambda ran: Reduced(torch.hub.load_state_dict_from_url, f'file://{ran}'),
    lambda ran: Reduced(torch.serialization.add_safe_globals, [os.system]),
    lambda ran: Reduced(np.load, str(ran)),
    lambda ran: torch.nn.Linear(1, 1),
    lambda ran: Reduced(bytearray, 2 ** 30),
    lambda ran: Reduced(torch.Tensor, 2 ** 30),
    lambda ran: torch.zeros(2, device='meta'),
    lambda ran: torch.zeros(2, 2).to_sparse(),
    lambda ran: torch.quantize_per_tensor(torch.zeros(2), .1, 0, torch.qint8),
    lambda ran: torch.zeros(1).expand(2 ** 40),
    lambda ran: 1j,
    lambda ran: np.array(['text']),
    lambda ran: np.datetime64('2020-01-01'),
]


@pytest.mark.parametrize('form', [{}, LEGACY])
@pytest.mark.parametrize('attack', CODE)
def test_nothing_else_gets_in(file, tmp_path, attack, form):
    torch.save(dict(state_dict=dict(a=attack(tmp_path / 'ran'))), file, **form)
    start = time.monotonic()
    with pytest.raises(UserError, match='a.pth cannot be read as a checkpoint'):
        read_checkpoint(file)
    assert not (tmp_path / 'ran').exists() and time.monotonic() - start < 5


@pytest.mark.parametrize('read', [
    lambda path: CheckpointLoader.load_checkpoint(path),
    lambda path: __import__('mmengine.runner.checkpoint').runner.checkpoint.load_from_local(path, 'cpu'),
    lambda path: __import__('mmengine.runner.checkpoint').runner.checkpoint._load_checkpoint(path),
])
def test_mmengine_reads_with_it(file, tmp_path, read):
    torch.save(older(state_dict={}), file)
    assert isinstance(read(str(file))['message_hub']['log_scalars']['loss'], HistoryBuffer)
    torch.save(dict(state_dict=Reduced(os.system, f'touch {tmp_path / "ran"}')), file)
    with pytest.raises(UserError):
        read(str(file))
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('state', [
    (3, '<', None, ('a', ), dict(a=1), 8, 1, 0),  # fields: NumPy would read at the offsets they give
    (3, '|', ('f8', (1000, )), None, None, 8000, 1, 0),  # a subarray: of more than its bytes
    (3, '<', None, None, None, 1 << 40, 1, 0),
    (3, 'O', None, None, None, -1, -1, 0),
    (), None,
])
def test_a_dtype_with_a_made_state(file, state):
    """NumPy believes it: reading such a number reads beyond its bytes, up to a crash."""
    dtype = np.dtype('f8')

    class Made:
        def __reduce__(self):
            return type(dtype).__base__, ('f8', False, True), state

    Made.__reduce__ = lambda self: (np.dtype, ('f8', False, True), state)
    number = Reduced(np.float64().__reduce__()[0], Made(), b'12345678')
    torch.save(dict(a=number), file)
    try:
        assert read_checkpoint(file) == dict(a=struct.unpack('<d', b'12345678')[0])
    except UserError as error:
        assert 'NumPy' in str(error)


@pytest.mark.parametrize('shape,raw', [((4, ), b'12345678'), ((1 << 40, ), b''), ((-1, ), b''), ((2 ** 62, 4), b''),
                                       ('x', b''), ((1, ), [1.])])
def test_an_array_that_is_not_as_large_as_it_says(file, shape, raw):
    class Made:
        def __reduce__(self):
            empty = np.empty(0).__reduce__()
            return empty[0], (np.ndarray, (0, ), b'b'), (1, shape, np.dtype('f8'), False, raw)

    torch.save(dict(a=Made()), file)
    with pytest.raises(UserError, match='NumPy array'):
        read_checkpoint(file)


def test_a_storage_that_is_not_as_large_as_it_says(file, tmp_path):
    """torch before 2.8 or so would read on behind it."""
    torch.save(dict(a=torch.zeros(4)), tmp_path / 'whole.pth')
    rewrite(tmp_path / 'whole.pth', file, lambda name, content: content.replace(b'K\x04', b'K\xf0'))
    with pytest.raises(UserError, match='a.pth cannot be read as a checkpoint'):
        read_checkpoint(file)


def test_zip_bombs(file, tmp_path):
    torch.save(dict(a=torch.zeros(10 ** 6)), tmp_path / 'whole.pth')
    rewrite(tmp_path / 'whole.pth', file, lambda name, content: content, zipfile.ZIP_DEFLATED)
    assert file.stat().st_size < 10 ** 5
    with pytest.raises(UserError, match='it is compressed, or says that it is larger than it is'):
        read_checkpoint(file)


def test_two_parts_of_one_name(file, tmp_path):
    torch.save(dict(a=torch.zeros(1)), file)
    with zipfile.ZipFile(file, 'a') as archive, pytest.warns(UserWarning, match='Duplicate'):
        archive.writestr('a/data.pkl', b'other')
    with pytest.raises(UserError, match='two parts of one name'):
        read_checkpoint(file)


def laughs(levels):
    """Ten of ten of ten ...: small in the file, endless when written out."""
    value = ['ha']
    for _ in range(levels):
        value = [value] * 10
    return value


def knot():
    value = []
    value.append(value)
    return value


@pytest.mark.parametrize('made', [laughs(9), knot(), dict(a=knot())])
def test_small_files_of_endless_content(file, made):
    torch.save(dict(a=made), file)
    with pytest.raises(UserError, match='it holds more than'):
        read_checkpoint(file)


@pytest.mark.parametrize('name', ['\x1b[2J\x1b]0;owned\x07', 'a\nb', 'a' * 2000, '\u202egnp.exe'])
def test_names_with_control_characters(file, name):
    torch.save(dict(state_dict={name: torch.zeros(1)}), file)
    with pytest.raises(UserError) as error:
        read_checkpoint(file)
    assert str(error.value).isprintable() and len(str(error.value)) < 400


def test_class_names_are_shown_without_control_characters():
    meta = dict(dataset_meta=dict(classes=['cat', '\x1b[2Jdog', 'a\nb'], palette=[[1, 2, 3]] * 3))
    assert dataset_meta(dict(meta=meta), 'a.pth') == dict(
        classes=('cat', '\ufffd[2Jdog', 'a\ufffdb'), palette=[(1, 2, 3)] * 3)
    for classes in ([1, 2], 'cat', [['a']], dict(a=1)):
        with pytest.raises(UserError, match='something else than names'):
            dataset_meta(dict(meta=dict(dataset_meta=dict(classes=classes))), 'a.pth')
    for palette in ([[1, 2]], [[1, 2, 'x']], [[1, 2, 1 << 40]], 'random'):
        assert 'palette' not in dataset_meta(dict(meta=dict(dataset_meta=dict(classes=['a'], palette=palette))), '')


@pytest.mark.parametrize('module,name', [('os', 'system'), ('builtins', 'exec'), ('torch', 'load'),
                                         ('dicenet_mm.checkpoint.reader', 'read_checkpoint'), ('\x1b[2J', 'x')])
def test_names_in_other_forms(file, tmp_path, module, name):
    """As strings on the stack, in older opcodes, or in a part that is not the first."""
    content = io.BytesIO()
    Pickler(content, 2).dump(dict(a=Named(module, name)))
    torch.save(dict(a=1), tmp_path / 'whole.pth')
    rewrite(tmp_path / 'whole.pth', file,
            lambda part, old: content.getvalue() if part.endswith('data.pkl') else old)
    with pytest.raises(UserError) as error:
        read_checkpoint(file)
    assert 'it names' in str(error.value) and str(error.value).isprintable()


@pytest.mark.parametrize('content', [b'', b'PK\x03\x04', b'PK\x03\x04' + bytes(100), b'\x80\x02', b'no checkpoint',
                                     b'\x80\x02}q\x00(X\xff\xff\xff\xffa', bytes(1000)])
@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_other_files(tmp_path, content, suffix):
    (tmp_path / f'a{suffix}').write_bytes(content)
    with pytest.raises(UserError, match=r'cannot be read as a checkpoint .*: it may be cut off'):
        read_checkpoint(tmp_path / f'a{suffix}')


@pytest.mark.parametrize('form', [{}, LEGACY])
def test_every_cut_of_a_file_is_refused(file, form):
    torch.save(dict(state_dict=dict(a=torch.arange(6.))), file, **form)
    whole = file.read_bytes()
    for length in range(0, len(whole), 7):
        file.write_bytes(whole[:length])
        with pytest.raises(UserError):
            read_checkpoint(file)


# safetensors, and the hash of published files

def published(folder, name='a.safetensors', meta=None):
    save_file(dict(w=torch.arange(3.)), folder / name, dict(dicenet_mm=json.dumps(meta or dict(epoch=3))))
    return folder / name


def test_safetensors(tmp_path):
    read = read_checkpoint(published(tmp_path, meta=dict(epoch=3, size={'tuple': [1, {'tuple': []}]})))
    assert torch.equal(read['state_dict']['w'], torch.arange(3.))
    assert read['meta'] == dict(epoch=3, size=(1, ()))


def test_safetensors_that_lie(tmp_path):
    header = json.dumps(dict(w=dict(dtype='F32', shape=[2 ** 40], data_offsets=[0, 2 ** 42]))).encode()
    (tmp_path / 'a.safetensors').write_bytes(struct.pack('<Q', len(header)) + header + bytes(8))
    with pytest.raises(UserError, match='cannot be read'):
        read_checkpoint(tmp_path / 'a.safetensors')
    deep = '[' * 100_000 + ']' * 100_000
    save_file(dict(w=torch.zeros(1)), tmp_path / 'b.safetensors', dict(dicenet_mm=deep))
    with pytest.raises(UserError, match='cannot be read'):
        read_checkpoint(tmp_path / 'b.safetensors')


def test_a_published_file_is_the_one_that_was_published(tmp_path):
    file = published(tmp_path)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert read_checkpoint(file, digest)['meta'] and read_checkpoint(file, digest[:8].upper())['meta']
    with pytest.raises(UserError, match=rf'not the file that was published: its SHA-256 begins with {digest}'):
        read_checkpoint(file, '0' * 64)
    named = file.rename(tmp_path / f'a-{digest[:8]}.safetensors')
    read_checkpoint(named)
    content = bytearray(named.read_bytes())
    content[-1] ^= 1
    named.write_bytes(content)
    with pytest.raises(UserError, match='not the file that was published'):
        read_checkpoint(named)


# addresses

@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server of the files of a folder, with the cache for what is fetched beside it."""
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'cache'))
    (tmp_path / 'served').mkdir()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            file = tmp_path / 'served' / self.path.split('?')[0].replace('/', '_')
            self.send_response(200 if file.exists() else 404)
            content = file.read_bytes() if file.exists() else b''
            self.send_header('Content-Length', str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args):
            pass

    server = HTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}', tmp_path / 'served'
    server.shutdown()
    server.server_close()


def test_addresses(server):
    address, folder = server
    torch.save(dict(a=torch.ones(1)), folder / '_x_net.pth')
    torch.save(dict(a=torch.zeros(1)), folder / '_y_net.pth')
    assert read_checkpoint(f'{address}/x/net.pth')['a'] == 1
    assert read_checkpoint(f'{address}/y/net.pth')['a'] == 0  # of the same name, and not the cached one
    (folder / '_x_net.pth').unlink()
    assert read_checkpoint(f'{address}/x/net.pth')['a'] == 1


@pytest.mark.parametrize('read', [
    read_checkpoint, CheckpointLoader.load_checkpoint,
    lambda address: __import__('mmengine.runner.checkpoint').runner.checkpoint.load_from_http(address),
    lambda address: __import__('mmengine.runner.checkpoint').runner.checkpoint.load_url(address, 'elsewhere'),
])
def test_code_from_an_address(server, tmp_path, read):
    address, folder = server
    torch.save(dict(a=Reduced(os.system, f'touch {tmp_path / "ran"}')), folder / '_net.pth')
    with pytest.raises(UserError, match='it names posix.system'):
        read(f'{address}/net.pth')
    assert not (tmp_path / 'ran').exists() and not (tmp_path / 'elsewhere').exists()


@pytest.mark.parametrize('address,message', [
    ('{}/none.pth', 'cannot be fetched .*404'), ('http://127.0.0.1:9/a.pth', 'cannot be fetched'),
    ('{}/../../../a.pth?x=/etc/../b', 'cannot be fetched'), ('file:///etc/passwd', 'is not read from where it is'),
    ('s3://bucket/a.pth', 'is not read from where it is'), ('torchvision://none', 'there is no model none'),
    ('open-mmlab://\x1b[2J', 'there is no model'),
])
def test_addresses_without_a_file(server, address, message):
    with pytest.raises(UserError, match=message) as error:
        read_checkpoint(address.format(server[0]))
    assert str(error.value).isprintable()
