"""AOTInductor's package: code for this kind of processor, which C++ runs, too."""
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch._inductor import aoti_compile_and_package, aoti_load_package

from dicenet_mm.errors import UserError

from ..graph import program
from ..network import ExportedNetwork

PRECISIONS = ('float32', )
BATCH = True


def write(network: ExportedNetwork, images: torch.Tensor, path: Path, meta: dict, precision: str,
          calibration: Sequence[np.ndarray]) -> Path:
    """One file ``<path>.aoti.pt2``, with the metadata as JSON under ``dicenet_mm``."""
    if shutil.which('c++') is None:
        raise UserError('AOTInductor compiles C++ code, and there is no compiler: install g++')
    file = path.with_name(f'{path.name}.aoti.pt2')
    aoti_compile_and_package(program(network, images), package_path=str(file),
                             inductor_configs={'aot_inductor.metadata': dict(dicenet_mm=json.dumps(meta))})
    return file


def load(path: Path, threads: int) -> Callable:
    """See the package."""
    run = aoti_load_package(str(path))

    def call(images: np.ndarray) -> list[np.ndarray]:
        outputs = run(torch.from_numpy(images))
        return [output.numpy() for output in (outputs if isinstance(outputs, list | tuple) else [outputs])]

    return call
