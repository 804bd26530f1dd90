"""OpenVINO's intermediate representation, made of the ONNX graph; quantised by NNCF."""
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from dicenet_mm.extras import require

from ..network import ExportedNetwork
from ..quantization import quantized
from .onnx import proto

PRECISIONS = ('float32', 'float16', 'int8')
BATCH = True


def write(network: ExportedNetwork, images: torch.Tensor, path: Path, meta: dict, precision: str,
          calibration: Sequence[np.ndarray]) -> Path:
    """``<path>.xml`` with its weights in ``<path>.bin``, the metadata as JSON in ``rt_info`` under ``dicenet_mm``."""
    openvino = require('openvino', 'export', 'OpenVINO')
    file = path.with_name(f'{path.name}.xml')
    source = proto(network, images)
    if precision == 'int8':
        source = quantized(source, calibration)
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder, 'model.onnx')
        written.write_bytes(source.SerializeToString())
        model = openvino.convert_model(str(written))
    model.set_rt_info(json.dumps(meta), ['dicenet_mm'])
    openvino.save_model(model, str(file), compress_to_fp16=precision == 'float16')
    return file


def load(path: Path, threads: int) -> Callable:
    """See the package."""
    openvino = require('openvino', 'export', 'OpenVINO')
    # On some machines it computes in half or bfloat16 unless told not to.
    compiled = openvino.Core().compile_model(str(path), 'CPU', {'INFERENCE_PRECISION_HINT': 'f32',
                                                               'INFERENCE_NUM_THREADS': threads})
    return lambda images: list(compiled(images).values())
