"""ncnn, by pnnx."""
import json
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from dicenet_mm.errors import UserError
from dicenet_mm.extras import require

from ..graph import plain_graph
from ..network import ExportedNetwork

PRECISIONS = ('float32', 'float16')
BATCH = False


def write(network: ExportedNetwork, images: torch.Tensor, path: Path, meta: dict, precision: str,
          calibration: Sequence[np.ndarray]) -> Path:
    """``<path>.ncnn.param`` with weights in ``<path>.ncnn.bin`` and the metadata in ``<path>.ncnn.json``.

    The input ``in0`` is one image (3, H, W), the outputs are ``out0`` and so on.
    """
    pnnx = require('pnnx', 'export', 'ncnn')
    param, weights = (path.with_name(f'{path.name}.ncnn.{end}') for end in ('param', 'bin'))
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter('ignore')
        script = Path(folder, 'model.pt')
        image = images[:1]
        torch.jit.trace(plain_graph(network, image, dynamic_batch=False), image, check_trace=False).save(str(script))
        done = subprocess.run([pnnx.EXEC_PATH, script, f'inputshape={list(image.shape)}'.replace(' ', ''),
                               f'fp16={int(precision == "float16")}', f'ncnnparam={param}', f'ncnnbin={weights}'],
                              cwd=folder, text=True, capture_output=True)
    if done.returncode or not param.is_file():
        raise UserError(f'pnnx cannot convert this network: {(done.stderr or done.stdout).strip()[-300:]}')
    path.with_name(f'{path.name}.ncnn.json').write_text(json.dumps(meta))
    return param


def load(path: Path, threads: int) -> Callable:
    """See the package."""
    ncnn = require('ncnn', 'export', 'running ncnn')
    network = ncnn.Net()
    network.opt.num_threads = threads
    network.opt.use_fp16_packed = network.opt.use_fp16_storage = network.opt.use_fp16_arithmetic = False
    network.load_param(str(path))
    network.load_model(str(path.with_suffix('.bin')))
    names = network.output_names()

    def call(images: np.ndarray) -> list[np.ndarray]:
        found = []
        for image in images:
            extractor = network.create_extractor()
            extractor.input('in0', ncnn.Mat(np.ascontiguousarray(image)))
            found.append([np.array(extractor.extract(name)[1]) for name in names])
        return [np.stack(output) for output in zip(*found)]

    return call
