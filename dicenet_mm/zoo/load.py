"""Published weights as checkpoints of this toolkit."""
from dicenet_mm.checkpoint import read_checkpoint

from .edgenets import edgenets_checkpoint
from .index import AUTHORS, find_zoo_model
from .weights import fetch_weights


def load_zoo_model(name: str) -> dict:
    """Published weights as a checkpoint, fetched first if they are not on this machine; the authors' are converted.

    Raises:
        UserError: If there is no such name, or the file cannot be fetched or is another one.
    """
    model = find_zoo_model(name)
    file = fetch_weights(model)
    checkpoint = read_checkpoint(str(file))
    return edgenets_checkpoint(checkpoint, file.name) if name.startswith(AUTHORS) else checkpoint
