"""Weights of an inference copy in one piece of memory."""
import mmap
from contextlib import suppress

import torch
from torch import nn

from .fused_op import FusedOp

LINE, LARGE_PAGE = 64, 2 ** 21  # bytes


def move_to_arena(model: nn.Module) -> None:
    """Move packed weights into one piece of memory, in the order of their use, of large pages where there are such.

    A pass over one image reads them once from memory. With the usual pages of 4 KiB that takes twice as long.
    """
    places = [(op, name, tensor) for op in model.modules() if isinstance(op, FusedOp)
              for name, tensor in op.named_buffers() if tensor.is_cpu]
    if not places or not hasattr(mmap, 'MADV_HUGEPAGE'):
        return
    sizes = [-(-tensor.nbytes // LINE) * LINE for *_, tensor in places]
    memory = mmap.mmap(-1, sum(sizes) + LARGE_PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # the system may have none
        memory.madvise(mmap.MADV_HUGEPAGE)
    offset = -torch.frombuffer(memory, dtype=torch.uint8).data_ptr() % LARGE_PAGE
    for (op, name, tensor), size in zip(places, sizes):
        moved = torch.frombuffer(memory, dtype=tensor.dtype, count=tensor.numel(), offset=offset)
        op.register_buffer(name, moved.view_as(tensor).copy_(tensor))
        offset += size
