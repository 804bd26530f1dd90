"""Published weights as checkpoints of this toolkit."""
from pathlib import Path

from dicenet_mm.checkpoint import read_checkpoint

from .edgenets import edgenets_checkpoint
from .index import find_zoo_model, zoo_models
from .weights import fetch_weights

AUTHORS = 'edgenets/'  # what their names start with
_FILES = {'.bin', '.ckpt', '.pt', '.pth', '.safetensors'}


def is_zoo_name(text: str) -> bool:
    """Whether a checkpoint is asked for by a name of :func:`dicenet_mm.zoo.zoo_models`, not by a path or address."""
    if text.startswith(AUTHORS):
        return True
    path = Path(text)
    return '://' not in text and path.suffix not in _FILES and not path.exists() and text in zoo_models()


def load_zoo_model(name: str) -> dict:
    """Published weights as a checkpoint, fetched first if they are not on this machine; the authors' are converted.

    Raises:
        UserError: If there is no such name, or the file cannot be fetched or is another one.
    """
    model = find_zoo_model(name)
    file = fetch_weights(model)
    checkpoint = read_checkpoint(str(file))
    return edgenets_checkpoint(checkpoint, file.name) if name.startswith(AUTHORS) else checkpoint
