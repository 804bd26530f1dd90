"""ONNX, by PyTorch's exporter for exported programs; run and quantised by ONNX Runtime."""
import json
import logging
import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from dicenet_mm.extras import require

from ..graph import program
from ..network import ExportedNetwork
from ..quantization import quantized

PRECISIONS = ('float32', 'float16', 'int8')
BATCH = True
OPSET = 18


def write(network: ExportedNetwork, images: torch.Tensor, path: Path, meta: dict, precision: str,
          calibration: Sequence[np.ndarray]) -> Path:
    """One file ``<path>.onnx``, with the metadata as JSON under ``dicenet_mm``."""
    file = path.with_name(f'{path.name}.onnx')
    onnx = require('onnx', 'export', 'ONNX')
    model = proto(network, images)
    if precision == 'float16':
        convert = require('onnxruntime.transformers.float16', 'export', 'float16').convert_float_to_float16
        model = convert(model, keep_io_types=True)
    if precision == 'int8':
        model = quantized(model, calibration)
    onnx.helper.set_model_props(model, dict(dicenet_mm=json.dumps(meta)))
    onnx.save(model, str(file))
    return file


def proto(network: ExportedNetwork, images: torch.Tensor):
    """The network as ONNX's message, input ``images`` of any batch."""
    return require('onnx', 'export', 'ONNX').ModelProto.FromString(serialized(network, images))


@lru_cache(1)
def serialized(network: ExportedNetwork, images: torch.Tensor) -> bytes:
    """The same, as it stands in a file."""
    for name in ('onnxscript', 'onnxruntime'):
        require(name, 'export', 'ONNX')
    logging.getLogger('torch.onnx').setLevel(logging.ERROR)
    logging.getLogger('onnxscript').setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        made = torch.onnx.export(program(network, images), (), dynamo=True, verbose=False, opset_version=OPSET,
                                 input_names=['images'], output_names=network.outputs)
    model = made.model_proto
    for node in model.graph.node:  # where in the code of this machine it came from: half of the file
        del node.metadata_props[:]
        node.doc_string = ''
    return model.SerializeToString()


def load(path: Path, threads: int) -> Callable:
    """See the package."""
    onnxruntime = require('onnxruntime', 'export', 'ONNX')
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])
    return lambda images: session.run(None, dict(images=images))
