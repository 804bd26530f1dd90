"""Fetching weights from a server on this machine: the right file, and all that can go wrong."""
import hashlib
import multiprocessing
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from dicenet_mm.errors import UserError
from dicenet_mm.zoo import cache_folder, download, fetch_weights, weights_file, zoo_models

pytest.importorskip('trustme', reason='trustme, which makes certificates for the local server, is not installed')
from tests.zoo.server import Server, cut_off, endless, redirect, silence, status  # noqa: E402

CONTENT = bytes(range(256)) * 1200  # five chunks
NAME = 'edgenets/dicenet-0.2-imagenet'


@pytest.fixture(scope='module')
def machine(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp('server'))
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def server(machine, monkeypatch, tmp_path):
    """The server, trusted, with one file; nothing has been fetched yet."""
    monkeypatch.setenv('SSL_CERT_FILE', machine.certificate)  # OpenSSL's own variable
    monkeypatch.setenv('DICENET_MM_CACHE', str(tmp_path / 'cache'))
    monkeypatch.setattr(download, 'TIMEOUT', 1)
    monkeypatch.setattr(download, 'sleep', lambda seconds: None)
    machine.files, machine.asked, machine.answers, machine.continues = {'a/w.pth': CONTENT}, [], {}, True
    return machine


def published(server, content=CONTENT, path='a/w.pth', **known):
    """A model of the index whose file is on the server."""
    known = known or dict(size=len(content), sha256=hashlib.sha256(content).hexdigest())
    return replace(zoo_models()[NAME], weights=server.url(path), **{'git_sha1': None, **known})


def git_sha1(content):
    return hashlib.sha1(b'blob ' + str(len(content)).encode() + b'\0' + content).hexdigest()


@pytest.mark.parametrize('known', [dict(sha256=hashlib.sha256(CONTENT).hexdigest()), dict(git_sha1=git_sha1(CONTENT)),
                                   dict(size=len(CONTENT), git_sha1=git_sha1(CONTENT))])
def test_the_right_file_is_fetched_once(server, known, capsys):
    model = published(server, **known)
    file = fetch_weights(model)
    assert file.read_bytes() == CONTENT and file == weights_file(model) == cache_folder() / 'w.pth'
    assert fetch_weights(model) == file and len(server.asked) == 1
    assert not list(cache_folder().glob('*.part'))
    shown = capsys.readouterr().err
    assert f'fetching {NAME} from https://localhost' in shown and '300k/300k' in shown


def test_git_hashes_are_those_of_git(tmp_path):
    """Against git itself."""
    (tmp_path / 'f').write_bytes(CONTENT)
    said = subprocess.run(['git', 'hash-object', '--no-filters', tmp_path / 'f'], capture_output=True, text=True)
    assert said.stdout.strip() == git_sha1(CONTENT)


@pytest.mark.parametrize('known,named', [(dict(sha256='0' * 64), 'its SHA-256 is'),
                                         (dict(git_sha1='0' * 40), 'its SHA-1 in Git is')])
def test_another_file_is_refused_and_not_kept(server, known, named):
    with pytest.raises(UserError, match=f'cannot be fetched .the server has another file there: {named}'):
        fetch_weights(published(server, **known))
    assert not list(cache_folder().glob('w*pth')) and not list(cache_folder().glob('*.part'))


@pytest.mark.parametrize('size', [len(CONTENT) - 1, len(CONTENT) + 1])
def test_another_size_is_refused_before_it_is_read(server, size):
    with pytest.raises(UserError, match=f'the server has a file of {len(CONTENT)} bytes there, not of {size}'):
        fetch_weights(published(server, size=size))


def test_what_breaks_off_is_continued(server):
    server.answers['a/w.pth'] = [cut_off(70_000), cut_off(200_000)]
    assert fetch_weights(published(server)).read_bytes() == CONTENT
    assert server.asked == [('a/w.pth', None), ('a/w.pth', 'bytes=70000-'), ('a/w.pth', 'bytes=200000-')]


def test_what_broke_off_is_continued_another_time(server, capsys):
    model = published(server)
    server.answers['a/w.pth'] = [cut_off(1000 * i) for i in range(1, download.ATTEMPTS + 1)]
    with pytest.raises(UserError, match=r'cannot be fetched \(broke off after 4000 of 307200 bytes\): try again, or '
                                        r'get the file https://localhost\S+ in another way and put it at \S+w.pth'):
        fetch_weights(model)
    assert 'attempt 4 of 4' in capsys.readouterr().err
    assert fetch_weights(model).read_bytes() == CONTENT and server.asked[-1] == ('a/w.pth', 'bytes=4000-')


@pytest.mark.parametrize('continues', [True, False])
@pytest.mark.parametrize('left', [b'of another file', CONTENT[:100], CONTENT, CONTENT + b'more'])
def test_whatever_was_left_the_file_is_right_in_the_end(server, left, continues):
    server.continues = continues
    cache_folder().mkdir()
    (cache_folder() / 'w.pth.part').write_bytes(left)
    assert fetch_weights(published(server)).read_bytes() == CONTENT


@pytest.mark.parametrize('code,reason,attempts', [(404, 'Not Found', 1), (403, 'Forbidden', 1),
                                                  (503, 'Service Unavailable', 4)])
def test_answers_of_the_server(server, code, reason, attempts):
    server.answers['a/w.pth'] = [status(code, reason)] * attempts
    with pytest.raises(UserError, match=rf'cannot be fetched \(the server answers {code} {reason}\): try again, or'):
        fetch_weights(published(server))
    assert len(server.asked) == attempts


def test_a_busy_server_is_asked_again(server):
    server.answers['a/w.pth'] = [status(503, 'Service Unavailable'), silence]
    assert fetch_weights(published(server)).read_bytes() == CONTENT


def test_no_answer(server):
    server.answers['a/w.pth'] = [silence] * download.ATTEMPTS
    with pytest.raises(UserError, match=r'cannot be fetched \(no answer within 1 s\)'):
        fetch_weights(published(server))


def test_redirects_stay_with_https(server):
    server.answers['a/w.pth'] = [redirect(server.url('b'))]
    server.files['b'] = CONTENT
    assert fetch_weights(published(server)).read_bytes() == CONTENT


@pytest.mark.parametrize('target', ['http://localhost:1/w.pth', 'ftp://localhost/w.pth', 'file:///etc/hostname'])
def test_redirects_elsewhere_are_refused(server, target):
    server.answers['a/w.pth'] = [redirect(target)]
    with pytest.raises(UserError, match='cannot be fetched .the server (redirects to .*, which is not https|answers '
                                        '302 .* not allowed)'):
        fetch_weights(published(server))
    assert len(server.asked) == 1


@pytest.mark.parametrize('address', ['http://localhost:1/w.pth', 'ftp://localhost/w.pth', 'file:///etc/hostname'])
def test_addresses_are_https(server, address):
    with pytest.raises(UserError, match='cannot be fetched .unknown url type'):
        fetch_weights(replace(published(server), weights=address))


def test_a_server_that_nobody_vouches_for(server, monkeypatch):
    monkeypatch.delenv('SSL_CERT_FILE')
    with pytest.raises(UserError, match='cannot be fetched .*certificate'):
        fetch_weights(published(server))


def test_a_file_without_end(server, monkeypatch):
    monkeypatch.setattr(download, 'MAX_BYTES', 2**20)
    server.answers['a/w.pth'] = [endless] * download.ATTEMPTS
    with pytest.raises(UserError, match='the server sends more than 1048576 bytes'):
        fetch_weights(published(server, git_sha1=git_sha1(CONTENT)))
    assert (cache_folder() / 'w.pth.part').stat().st_size == 0


def test_without_a_network_a_file_put_there_by_hand_serves(server):
    model = replace(published(server), weights='https://localhost:1/a/w.pth')
    with pytest.raises(UserError, match=r'Connection refused\): try again, or get the file https://localhost:1/a/w.pth '
                                        r'in another way and put it at \S+cache/w.pth') as said:
        fetch_weights(model)
    assert '\n' not in str(said.value)
    (cache_folder() / 'w.pth').write_bytes(CONTENT)
    assert fetch_weights(model).read_bytes() == CONTENT


def test_a_file_that_is_spoiled_afterwards(server):
    model = published(server)
    fetch_weights(model).write_bytes(CONTENT[:-1] + b'x')
    with pytest.raises(UserError, match=r'w.pth is not the file of edgenets/\S+ \(its SHA-256 is .*\): remove it, and '
                                        'it is fetched again'):
        fetch_weights(model)


def test_a_cache_that_cannot_be_written(server, monkeypatch, tmp_path):
    (tmp_path / 'file').touch()
    monkeypatch.setenv('DICENET_MM_CACHE', str(tmp_path / 'file'))
    with pytest.raises(UserError, match='cannot be written .*: let DICENET_MM_CACHE name a folder'):
        fetch_weights(published(server))


def test_threads_at_once(server):
    model = published(server)
    with ThreadPoolExecutor(4) as pool:
        files = list(pool.map(lambda _: fetch_weights(model), range(4)))
    assert {file.read_bytes() for file in files} == {CONTENT} and len(server.asked) == 1


def test_two_processes_at_once(server, capfd):
    """The second waits for the first, says so, and takes its file."""
    model = published(server)
    server.answers['a/w.pth'] = [lambda handler: (time.sleep(0.5), handler.send_file())]
    processes = [multiprocessing.get_context('fork').Process(target=fetch_weights, args=(model,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert weights_file(model).read_bytes() == CONTENT and len(server.asked) == 1
    shown = capfd.readouterr().err
    assert f'another process is fetching {NAME}: waiting for it' in shown and shown.count('fetching') == 2


def test_a_process_that_was_killed_keeps_nobody_waiting(server):
    model = published(server)
    server.answers['a/w.pth'] = [silence]
    first = multiprocessing.get_context('fork').Process(target=fetch_weights, args=(model,))
    first.start()
    while not server.asked:
        time.sleep(0.01)
    first.kill()
    first.join(60)
    assert fetch_weights(model).read_bytes() == CONTENT
