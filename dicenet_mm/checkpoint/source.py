"""Where checkpoints come from: files, and addresses whose files are fetched once."""
import hashlib
import re
import socket
from pathlib import Path
from urllib.parse import urlparse

import torch

from dicenet_mm.errors import UserError, printable
from dicenet_mm.paths import require_file

#: Seconds without a byte after which a download is given up.
TIMEOUT = 60


def local_file(source: str | Path) -> Path:
    """The file of a checkpoint, fetched if it is an address; OpenMMLab's and torchvision's short names are addresses.

    Raises:
        UserError: If there is none, or it cannot be fetched.
    """
    text = str(source)
    if '://' not in text:
        return require_file(text, 'checkpoint')
    if not text.startswith(('http://', 'https://')):
        text = _resolve(text)
    return _fetch(text)


def require_hash(file: Path, sha256: str | None = None) -> None:
    """Check a file against its SHA-256: the one given, and the beginning of it that a published name ends with.

    Raises:
        UserError: If it is another file.
    """
    named = re.search(r'-([0-9a-f]{8,64})\.safetensors$', file.name)  # as tools/publish_model.py names them
    expected = {part.lower() for part in (sha256, named and named[1]) if part}
    if not expected:
        return
    with open(file, 'rb') as content:
        digest = hashlib.file_digest(content, 'sha256').hexdigest() if hasattr(hashlib, 'file_digest') else (
            hashlib.sha256(content.read()).hexdigest())
    for part in expected:
        if not digest.startswith(part):
            raise UserError(f'{file} is not the file that was published: its SHA-256 begins with {digest[:len(part)]}, '
                            f'not {printable(part)}. Fetch it again')


def _resolve(name: str) -> str:
    from mmengine.runner import checkpoint
    scheme, _, rest = name.partition('://')
    tables = {'open-mmlab': checkpoint.get_external_models, 'openmmlab': checkpoint.get_external_models,
              'mmcls': checkpoint.get_mmcls_models, 'torchvision': checkpoint.get_torchvision_models,
              'modelzoo': checkpoint.get_torchvision_models}
    if scheme not in tables:
        raise UserError(f'{printable(name)} is not read from where it is: copy the file to this machine, or give an '
                        'https address')
    address = tables[scheme]().get(rest)
    if not isinstance(address, str) or not address.startswith(('http://', 'https://')):
        raise UserError(f'there is no model {printable(rest)} among those of {scheme}://')
    return address


def _fetch(address: str) -> Path:
    """Fetch a file into torch's cache, where files of the same name from elsewhere do not take its place."""
    name = re.sub(r'[^\w.-]', '_', Path(urlparse(address).path).name)[-100:] or 'checkpoint'
    file = Path(torch.hub.get_dir(), 'checkpoints', f'{hashlib.sha256(address.encode()).hexdigest()[:16]}-{name}')
    if file.is_file():
        return file
    before = socket.getdefaulttimeout()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        print(f'fetching {printable(address, 300)}')
        socket.setdefaulttimeout(TIMEOUT)
        torch.hub.download_url_to_file(address, str(file))
    except Exception as error:  # of the network, the address or the disk
        raise UserError(f'{printable(address, 300)} cannot be fetched ({printable(error)}): check the address and the '
                        'network, or give a file') from error
    finally:
        socket.setdefaulttimeout(before)
    return file
