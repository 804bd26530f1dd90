"""torch.export's archive, for Python with PyTorch alone."""
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from ..graph import program
from ..network import ExportedNetwork

PRECISIONS = ('float32', )
BATCH = True


def write(network: ExportedNetwork, images: torch.Tensor, path: Path, meta: dict, precision: str,
          calibration: Sequence[np.ndarray]) -> Path:
    """One file ``<path>.pt2``, with the metadata as JSON in the extra file ``dicenet_mm``."""
    file = path.with_name(f'{path.name}.pt2')
    torch.export.save(program(network, images), str(file), extra_files=dict(dicenet_mm=json.dumps(meta)))
    return file


def load(path: Path, threads: int) -> Callable:
    """See the package."""
    run = torch.export.load(str(path)).module(check_guards=False)

    @torch.no_grad()
    def call(images: np.ndarray) -> list[np.ndarray]:
        outputs = run(torch.from_numpy(images))
        return [output.numpy() for output in (outputs if isinstance(outputs, tuple) else [outputs])]

    return call
