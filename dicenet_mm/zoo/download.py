"""Fetching a file over https: resumable, bounded, and nothing else than what was published."""
import ssl
import sys
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from time import sleep
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from tqdm import tqdm

from dicenet_mm.version import __version__

TIMEOUT = 15  # seconds without an answer
ATTEMPTS = 4  # of which each goes on where the one before broke off
MAX_BYTES = 256 * 2**20  # of a file whose size is not known
CHUNK = 2**16
BUSY = (429, 500, 502, 503, 504)  # answers of a server after which another attempt may succeed


class DownloadError(Exception):
    """A file cannot be fetched; the message is the reason."""


def download(url: str, file: Path, label: str, size: int | None = None) -> None:
    """Fetch a file, or the rest of it if its beginning is there.

    Args:
        url: Its https address. Where the server redirects to, is https as well.
        file: Where to write.
        label: What to call it while it is fetched.
        size: How large it is, bytes; by default what the server says, which may be at most :data:`MAX_BYTES`.

    Raises:
        DownloadError: If it cannot be fetched. What has come stays in ``file`` if it can be continued.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _continue(url, file, label, size)
        except (OSError, HTTPException) as error:  # of the server (HTTPError), the network (URLError), the connection
            reason = _reason(error)
            final = (isinstance(error, HTTPError) and error.code not in BUSY or
                     isinstance(getattr(error, 'reason', None), ssl.SSLCertVerificationError))
            if final or attempt == ATTEMPTS:
                raise DownloadError(reason) from error
        print(f'{label}: {reason}; attempt {attempt + 1} of {ATTEMPTS}', file=sys.stderr)
        sleep(attempt - 1)


def _reason(error: Exception) -> str:
    if isinstance(error, HTTPError):
        return f'the server answers {error.code} {error.reason}'
    if isinstance(error, URLError):
        error = error.reason
    if isinstance(error, TimeoutError):
        return f'no answer within {TIMEOUT} s'
    return getattr(error, 'strerror', None) or str(error) or type(error).__name__


def _continue(url: str, file: Path, label: str, size: int | None) -> None:
    have = file.stat().st_size if file.exists() else 0
    headers = {'User-Agent': f'dicenet_mm/{__version__}', 'Accept-Encoding': 'identity'}
    if have:
        headers['Range'] = f'bytes={have}-'
    try:
        response = _opener().open(Request(url, headers=headers), timeout=TIMEOUT)
    except HTTPError as error:
        if have and error.code == 416:  # there is no rest: all of it is there, or another file
            if size in (None, have):
                return
            file.unlink()
            return _continue(url, file, label, size)
        raise
    with response:
        if not (response.status == 206 and response.headers.get('Content-Range', '').startswith(f'bytes {have}-')):
            have = 0  # a server that does not continue sends all
        length = response.headers.get('Content-Length')
        total = have + int(length) if length and length.isdigit() else size
        limit = size or MAX_BYTES
        if total is not None and (total > limit or size not in (None, total)):
            raise DownloadError(f'the server has a file of {total} bytes there, not of ' +
                                (f'{size}' if size else f'at most {limit}'))
        with open(file, 'ab' if have else 'wb') as target, tqdm(
                total=total, initial=have, desc=label, unit='B', unit_scale=True, unit_divisor=1024,
                mininterval=0.1 if sys.stderr.isatty() else 5) as bar:
            for chunk in _chunks(response):
                have += len(chunk)
                if have > limit:
                    target.truncate(0)
                    raise DownloadError(f'the server sends more than {limit} bytes')
                target.write(chunk)
                bar.update(len(chunk))
        if total is not None and have < total:
            raise ConnectionError(f'broke off after {have} of {total} bytes')


def _chunks(response: HTTPResponse) -> Iterator[bytes]:
    while chunk := response.read(CHUNK):
        yield chunk


class _RedirectsToHTTPS(HTTPRedirectHandler):

    def redirect_request(self, request, response, code, message, headers, url):
        if urlsplit(url).scheme != 'https':
            raise DownloadError(f'the server redirects to {url}, which is not https')
        return super().redirect_request(request, response, code, message, headers, url)


def _opener() -> OpenerDirector:
    """urllib's, without its ways to read anything but https."""
    opener = OpenerDirector()
    for handler in (ProxyHandler(), HTTPSHandler(context=_trusted()), HTTPDefaultErrorHandler(), _RedirectsToHTTPS(),
                    HTTPErrorProcessor(), UnknownHandler()):
        opener.add_handler(handler)
    return opener


def _trusted() -> ssl.SSLContext:
    return ssl.create_default_context()
