"""What there is: the published weights by name, from ``model-index.yml`` and the metafiles that it lists."""
from dataclasses import dataclass, field
from difflib import get_close_matches
from fnmatch import fnmatch
from functools import cache
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import yaml

from dicenet_mm.errors import UserError
from dicenet_mm.paths import toolkit_folder, typed

#: The detector that comes with the package: demo.py runs it, and training on small data starts from it.
BUILT_IN = 'rtm-dicenet-1.0-voc-320'
AUTHORS = 'edgenets/'  # what the names of their weights start with
_FILES = {'.bin', '.ckpt', '.pt', '.pth', '.safetensors'}


@dataclass(frozen=True)
class ZooModel:
    """Published weights.

    Attributes:
        name: Such as ``edgenets/dicenet-1.0-voc-384``.
        config: The configuration, a path below the toolkit's folder.
        weights: An https address, or for what comes with the package a path beside it.
        task: As the metafile has it: Object Detection, Semantic Segmentation, Image Classification.
        data: The data sets that it was trained on.
        image_size: Width and height, px, as text.
        licence: Of the weights.
        non_commercial: Whether the data allows non-commercial use only.
        width: The network's width multiplier s.
        classes: Outputs of the head, with a segmentor's background.
        macs: Multiply-adds for one image.
        parameters: Number of them.
        results: Each a data set and its scores by name.
        size: Of the file, bytes, where it is known.
        sha256: Of the file, in hexadecimal digits, where it is known.
        git_sha1: SHA-1 of the file as a blob of Git, where it is known.
    """
    name: str
    config: str
    weights: str
    task: str
    data: tuple[str, ...]
    image_size: str
    licence: str
    non_commercial: bool
    width: float
    classes: int
    macs: int
    parameters: int
    results: tuple[tuple[str, dict[str, float]], ...] = field(hash=False)
    size: int | None = None
    sha256: str | None = None
    git_sha1: str | None = None

    @property
    def is_remote(self) -> bool:
        """Whether the weights have to be fetched."""
        return '://' in self.weights

    @property
    def file_name(self) -> str:
        """The name of the file of weights."""
        return PurePosixPath(urlsplit(self.weights).path).name


@cache
def zoo_models() -> dict[str, ZooModel]:
    """The published weights by name, in the order of the metafiles."""
    root = toolkit_folder()
    files = _read(root / 'model-index.yml')['Import']
    return {entry['Name']: _model(entry) for file in files for entry in _read(root / file)['Models']}


def is_zoo_name(text: str) -> bool:
    """Whether a checkpoint is asked for by a name of :func:`zoo_models`, not by a path or address."""
    if text.startswith(AUTHORS):
        return True
    path = Path(text)
    return '://' not in text and path.suffix not in _FILES and not path.exists() and text in zoo_models()


def find_zoo_model(name: str) -> ZooModel:
    """The published weights of this name.

    Raises:
        UserError: If there is none, naming the nearest.
    """
    models = zoo_models()
    if name not in models:
        nearest = get_close_matches(name, models, n=1)
        raise UserError(f'there are no published weights {name}: ' +
                        (f'did you mean {nearest[0]}? ' if nearest else '') +
                        f'"{typed("models")}" lists those there are')
    return models[name]


def matching(pattern: str | None) -> list[ZooModel]:
    """Those whose name contains some text, or matches a pattern such as ``*-voc-*``; all of them if there is none."""
    if not pattern:
        return list(zoo_models().values())
    return [model for name, model in zoo_models().items() if pattern in name or fnmatch(name, pattern)]


def _read(file: Path) -> dict:
    with open(file, encoding='utf-8') as text:
        return yaml.load(text, getattr(yaml, 'CSafeLoader', yaml.SafeLoader))


def _model(entry: dict) -> ZooModel:
    meta, results = entry['Metadata'], entry['Results']
    return ZooModel(
        name=entry['Name'], config=entry['Config'], weights=entry['Weights'], task=results[0]['Task'],
        data=tuple(meta['Training Data']), image_size=meta['Image Size'], licence=meta['License'],
        non_commercial=meta.get('Use') == 'non-commercial', width=meta['Width'], classes=meta['Classes'],
        macs=meta['FLOPs'], parameters=meta['Parameters'],
        results=tuple((result['Dataset'], result['Metrics']) for result in results), size=meta.get('Bytes'),
        sha256=meta.get('SHA-256'), git_sha1=meta.get('Git Blob SHA-1'))
