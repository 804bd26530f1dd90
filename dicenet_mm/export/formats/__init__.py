"""The kinds of files that networks are exported to, one in a module of its own.

A module has ``PRECISIONS``, the kinds of numbers it can write, ``BATCH``, whether files take batches of any size,
``write(network, images, path, meta, precision, calibration)``, which gives the path of what it wrote, and
``load(path, threads)``, which gives a function from prepared images (N, 3, H, W), float32, to the outputs.
"""
from . import aotinductor, ncnn, onnx, openvino, pt2

FORMATS = dict(onnx=onnx, openvino=openvino, ncnn=ncnn, pt2=pt2, aotinductor=aotinductor)

__all__ = ['FORMATS']
