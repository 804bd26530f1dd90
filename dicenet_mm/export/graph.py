"""Networks as graphs of ordinary operators, for engines that know nothing of this project."""
import warnings
from functools import lru_cache

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from dicenet_mm.ops import library

BILINEAR = torch.ops.aten.upsample_bilinear2d.vec
SHUFFLE = torch.ops.aten.channel_shuffle.default
AVERAGE = torch.ops.aten.adaptive_avg_pool2d.default


SHAPES = ({0: torch.export.Dim('batch', min=1, max=4096)}, )


def plain_graph(network: nn.Module, images: Tensor, dynamic_batch: bool = True) -> fx.GraphModule:
    """Trace a network for images of one size, with every resize as a product with constant matrices.

    Engines differ in how they resize, above all between aligned corners and to sizes that do not divide; all of them
    multiply matrices. An axis that keeps its size is left alone, and so is global pooling.

    Args:
        network: From images (N, 3, H, W) to tensors, in evaluation mode.
        images: An example, of two images or more where the batch is dynamic.
        dynamic_batch: Whether the graph takes other batches than the example's.

    Returns:
        The graph as a module, with the same outputs.
    """
    with library.backend('reference'):
        graph = _export(network, images, SHAPES if dynamic_batch else None).module(check_guards=False)
    _resize_by_matrices(graph)
    _shuffle_by_transposition(graph)
    graph.recompile()
    return graph


@lru_cache(1)  # tracing takes longer than most of what follows, and several formats start from it
def program(network: nn.Module, images: Tensor) -> torch.export.ExportedProgram:
    """The graph of :func:`plain_graph`, any batch, as an exported program."""
    return _export(plain_graph(network, images), images, SHAPES)


def _export(network: nn.Module, images: Tensor, shapes) -> torch.export.ExportedProgram:
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return torch.export.export(network, (images, ), dynamic_shapes=shapes)


def _resize_by_matrices(graph: fx.GraphModule) -> None:
    for node in list(graph.graph.nodes):
        if node.target not in (BILINEAR, AVERAGE):
            continue
        before, after = node.args[0].meta['val'].shape[2:], node.meta['val'].shape[2:]
        if tuple(after) == (1, 1):
            continue
        with graph.graph.inserting_before(node):
            x = node.args[0]
            if before[0] != after[0]:
                x = graph.graph.call_function(torch.matmul, (_matrix(graph, node, before[0], after[0], False), x))
            if before[1] != after[1]:
                x = graph.graph.call_function(torch.matmul, (x, _matrix(graph, node, before[1], after[1], True)))
        x.meta.update(node.meta)
        node.replace_all_uses_with(x)
        graph.graph.erase_node(node)


def _shuffle_by_transposition(graph: fx.GraphModule) -> None:
    """Channel shuffling as what it is: pnnx does not know the operator."""
    for node in list(graph.graph.nodes):
        if node.target is not SHUFFLE:
            continue
        x, groups = node.args
        channels, *size = x.meta['val'].shape[1:]
        with graph.graph.inserting_before(node):
            y = graph.graph.call_function(torch.reshape, (x, (-1, groups, channels // groups, *size)))
            y = graph.graph.call_function(torch.transpose, (y, 1, 2))
            y = graph.graph.call_function(torch.reshape, (y, (-1, channels, *size)))
        y.meta.update(node.meta)
        node.replace_all_uses_with(y)
        graph.graph.erase_node(node)


def _matrix(graph: fx.GraphModule, node: fx.Node, before: int, after: int, transposed: bool) -> fx.Node:
    """What resizes an axis, as the operator itself resizes the unit vectors: (after, before), or its transpose."""
    aligned = node.target is BILINEAR and bool(node.args[2])
    kind = ('aligned' if aligned else 'linear') if node.target is BILINEAR else 'mean'
    name = f'{kind}_{before}_{after}{"_t" * transposed}'
    if not hasattr(graph, name):
        units = torch.eye(before, dtype=torch.float64)[None, :, :, None]  # (1, channels, H, W)
        made = (functional.interpolate(units, (after, 1), mode='bilinear', align_corners=aligned)
                if node.target is BILINEAR else functional.adaptive_avg_pool2d(units, (after, 1)))
        matrix = made[0, :, :, 0].float()  # (before, after)
        graph.register_buffer(name, (matrix if transposed else matrix.t()).contiguous())
    return graph.graph.get_attr(name)
