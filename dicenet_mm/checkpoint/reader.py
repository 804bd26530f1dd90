"""The one way in: any checkpoint file, as tensors and plain data. Nothing in it is ever run."""
import json
import pickletools
import re
import threading
import zipfile
from pathlib import Path

import torch

from dicenet_mm.errors import UserError, printable

from .history import STAND_INS
from .plain import to_plain_data
from .source import local_file, require_hash

# What a pickle may name: how tensors are put together, plain containers, and what has a stand-in. torch would take
# some more names, which no checkpoint needs and which make memory without holding it.
_NAMES = re.compile(r'torch\._utils\._rebuild_(tensor(_v2)?|parameter(_with_state)?)|torch\.(storage\.)?\w+Storage|'
                    r'torch\.Size|torch\.nn\.parameter\.Parameter|collections\.(OrderedDict|Counter)|'
                    r'_codecs\.encode|(builtins|__builtin__)\.(set|getattr|bytes)')
_ALLOWED = {name for _, name in STAND_INS}
_READING = threading.Lock()


def read_checkpoint(source: str | Path, sha256: str | None = None) -> dict:
    """Read a checkpoint onto the CPU: tensors and plain data, whoever made the file.

    Args:
        source: A file, ``.safetensors`` or what ``torch.save`` writes; or its address, ``https://...``, or a short name
            of OpenMMLab's or torchvision's, ``torchvision://...``: such files are fetched once. Or a name of published
            weights, ``edgenets/...`` (:func:`dicenet_mm.zoo.load_zoo_model`).
        sha256: What the file's SHA-256 must be, or begin with. Where the name of a ``.safetensors`` file ends with the
            beginning of one, it is checked in any case.

    Returns:
        What the file holds. Log histories of mmengine are dicts of tensors ``log_history`` and ``count_history``, (T,),
        and ``max_length``. A ``.safetensors`` file gives ``state_dict`` and ``meta``.

    Raises:
        UserError: If there is no such file, it is another one, it is not whole, or it holds anything else.
    """
    from dicenet_mm.zoo import is_zoo_name, load_zoo_model  # which converts what is read here
    if is_zoo_name(str(source)):
        return load_zoo_model(str(source))
    file = local_file(source)
    require_hash(file, sha256)
    try:
        read = _read_safetensors(file) if file.suffix == '.safetensors' else _read_torch(file)
        checkpoint = to_plain_data(read, file.stat().st_size)
    except UserError as error:
        raise UserError(f'{file} cannot be read as a checkpoint: {error}') from error
    except Exception as error:
        reason = re.sub(r'.*WeightsUnpickler error:\s*', '', str(error).strip(), flags=re.DOTALL)  # torch's own, long
        reason = reason.splitlines()[0] if reason else type(error).__name__
        raise UserError(f'{file} cannot be read as a checkpoint ({printable(reason, 200)}): it may be cut off, or '
                        'another kind of file') from error
    if not isinstance(checkpoint, dict):
        raise UserError(f'{file} holds a {type(checkpoint).__name__}, not a checkpoint')
    for part in ('state_dict', 'meta', 'message_hub'):
        if not isinstance(checkpoint.get(part, {}), dict):
            raise UserError(f'{file} holds a {type(checkpoint[part]).__name__} as {part}, not a dict')
    return checkpoint


def _read_safetensors(file: Path) -> dict:
    from safetensors import safe_open
    with safe_open(str(file), framework='pt') as content:
        weights = {name: content.get_tensor(name) for name in content.keys()}
        meta = json.loads((content.metadata() or {}).get('dicenet_mm', '{}'))
    return dict(state_dict=weights, meta=from_json(meta))


def _read_torch(file: Path) -> object:
    with open(file, 'rb') as content:
        zipped = content.read(4) == b'PK\x03\x04'  # what torch goes by
        content.seek(0)
        if zipped:
            _check_zip(content)
        else:
            for _ in range(5):  # magic number, version, system, content, keys of the numbers that follow
                _check_names(content)
    with _READING:  # what may be read is kept by torch for the whole process
        others = torch.serialization.get_safe_globals()
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(STAND_INS)
        try:
            return torch.load(file, map_location='cpu', weights_only=True)
        finally:
            torch.serialization.clear_safe_globals()
            torch.serialization.add_safe_globals(others)


def _check_zip(content) -> None:
    size = content.seek(0, 2)
    with zipfile.ZipFile(content) as archive:
        members = archive.infolist()
        if len({member.filename for member in members}) < len(members):
            raise UserError('it holds two parts of one name')
        if any(member.compress_type != zipfile.ZIP_STORED for member in members) or sum(
                member.file_size for member in members) > size:
            raise UserError('it is compressed, or says that it is larger than it is, as no checkpoint is')
        for member in members:
            if member.filename.endswith('.pkl'):
                with archive.open(member) as part:
                    _check_names(part)


def _check_names(content) -> None:
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name in ('STACK_GLOBAL', 'INST', 'OBJ', 'EXT1', 'EXT2', 'EXT4'):
            raise UserError(f'it is pickled in a way that torch does not use ({opcode.name})')
        if opcode.name == 'GLOBAL':
            name = argument.replace(' ', '.', 1)
            if not (_NAMES.fullmatch(name) or name in _ALLOWED):
                raise UserError(f'it names {printable(name)}, which is code or another kind of object: only tensors, '
                                'numbers and text are read')


def to_json(value: object) -> object:
    """Plain data as JSON has it: tuples become ``{"tuple": [...]}``.

    Raises:
        UserError: If there is something that JSON cannot hold.
    """
    if isinstance(value, tuple):
        return {'tuple': [to_json(item) for item in value]}
    if isinstance(value, list):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        if set(value) == {'tuple'} or not all(isinstance(key, str) for key in value):
            raise UserError(f'names {[*value][:3]} of a dict cannot be written as JSON')
        return {key: to_json(item) for key, item in value.items()}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise UserError(f'a {type(value).__name__} cannot be written as JSON')


def from_json(value: object) -> object:
    """What :func:`to_json` was given."""
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if isinstance(value, dict):
        if set(value) == {'tuple'} and isinstance(value['tuple'], list):
            return tuple(from_json(item) for item in value['tuple'])
        return {key: from_json(item) for key, item in value.items()}
    return value
