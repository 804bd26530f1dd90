"""The compiled operators refuse arguments that do not fit, and read nothing beyond those that do."""
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dicenet_mm.ops import library
from tests.ops.test_registration import ARGUMENTS

pytestmark = pytest.mark.skipif(not library.LOADED, reason='the compiled operators were not built')

#: Places of tensors among an operator's arguments, and the axes along which their extent is free. All others are
#: told by the other arguments; a tensor that is not named has none.
X, MAPS, KERNELS = {0: (0, 2, 3)}, {0: (0, 1, 2, 3)}, {2: (0,), 3: (0,)}
FREE = {
    'dim_conv': X | KERNELS, 'dim_conv_backward': {3: (0,), 4: (0,)},
    'norm_act': {0: (2, 3)}, 'dim_conv_fuse': X | KERNELS, 'dim_conv_fuse_backward': {3: (0,), 4: (0,)},
    'depth_wise_conv': X, 'point_wise': X, 'spatial_conv': X, 'grouped_conv': {0: (2, 3)}, 'strided_conv': X,
    'strided_conv_pool': X, 'max_pool': MAPS, 'average_pool': MAPS, 'global_average_pool': MAPS, 'pyramid_pool': X,
    'upsample_add': {0: (2, 3), 1: (2, 3)}, 'dice_unit': X, 'dice_stage': X, 'sequence': X,
}
SIZES = 3, 9  # of the height and width kernels, unlike those of the input, where every argument is there


def tensors(args):
    """(place, place within a list or None, tensor) of all tensors."""
    for i, arg in enumerate(args):
        if isinstance(arg, torch.Tensor):
            yield i, None, arg.detach()
        elif isinstance(arg, list):
            yield from ((i, j, t.detach()) for j, t in enumerate(arg) if isinstance(t, torch.Tensor))


def replaced(args, place, within, tensor):
    args = list(args)
    if within is None:
        args[place] = tensor
    else:
        args[place] = [*args[place][:within], tensor, *args[place][within + 1:]]
    return args


def misfits(t, free):
    yield 'float64', t.double()
    yield 'bfloat16', t.bfloat16()
    yield 'int32', t.int()
    yield 'one more axis', t[None]
    yield 'one axis less', t.flatten() if t.dim() > 1 else t[0]
    yield 'sparse', t.to_sparse()
    for axis in set(range(t.dim())) - set(free):
        yield f'one more along {axis}', torch.cat((t, t.narrow(axis, 0, 1)), axis)
        yield f'one less along {axis}', t.narrow(axis, 0, t.shape[axis] - 1)
        yield f'nothing along {axis}', t.narrow(axis, 0, 0)


@pytest.mark.parametrize('name', ARGUMENTS)
@torch.no_grad()
def test_refuses_arguments_that_do_not_fit(name):
    """Each of them would be read, or written, beyond its memory."""
    args, accepted = ARGUMENTS[name](SIZES), []
    operator = getattr(torch.ops.dicenet_mm, name)
    operator(*args)
    for place, within, tensor in tensors(args):
        # A tile of packed weights holds up to 16 channels; biases and slopes say how many.
        free = (0,) if within is not None and tensor.shape[1:] == (2,) else FREE.get(name, {}).get(place, ())
        for what, misfit in misfits(tensor, free):
            try:
                operator(*replaced(args, place, within, misfit))
            except (RuntimeError, NotImplementedError):
                continue
            accepted.append(f'argument {place}{"" if within is None else f"[{within}]"}: {what}')
    assert not accepted


@pytest.mark.parametrize('name', ARGUMENTS)
@torch.no_grad()
def test_takes_arguments_of_any_strides(name):
    args = ARGUMENTS[name](SIZES)
    operator = getattr(torch.ops.dicenet_mm, name)
    expected = operator(*args)
    for place, within, tensor in tensors(args):
        apart = torch.stack((tensor, torch.full_like(tensor, torch.nan)), -1)[..., 0]
        assert not apart.is_contiguous() or apart.numel() < 2
        torch.testing.assert_close(operator(*replaced(args, place, within, apart)), expected, rtol=0, atol=0)


@pytest.mark.parametrize('operator,args,message', [
    ('dice_unit', ([5, 4, 7, 1 << 40],), 'sizes of packed weights'),
    ('dice_unit', ([5, 4, 7, -1],), 'not positive'),
    ('dice_unit', ([5, 4, 7],), 'four sizes'),
    ('dice_stage', (False, [5, 5, 4, 7, 1 << 62]), 'sizes of packed weights'),
    ('dice_stage', (False, [1 << 62, 5, 4, 7, 1]), 'sizes of packed weights'),
])
def test_refuses_sizes_beyond_all_measure(operator, args, message):
    with pytest.raises(RuntimeError, match=message):
        getattr(torch.ops.dicenet_mm, operator)(torch.randn(2, 5, 4, 7), torch.randn(4096), *args)


@pytest.mark.parametrize('sizes', [[4, 7], [4, 7, 3, 0], [4, 7, 1 << 40, 1 << 40]])
def test_refuses_sizes_of_a_pyramid_that_make_no_map(sizes):
    with pytest.raises(RuntimeError, match='size'):
        torch.ops.dicenet_mm.pyramid_pool(torch.randn(2, 5, 4, 7), torch.randn(5, 2, 2, 12), sizes)


GUARDED = '''
import ctypes, faulthandler, mmap, sys
import torch
from tests.ops import test_registration as cases
from tests.ops.test_checks import replaced, tensors
faulthandler.enable()
torch.manual_seed(int(sys.argv[1]))
torch.set_num_threads(int(sys.argv[2]))
PAGE, libc, kept = mmap.PAGESIZE, ctypes.CDLL(None, use_errno=True), []


def guarded(tensor, at_end):
    """A copy with pages beside it that may not be touched: it begins, or ends, right there."""
    size = tensor.numel() * tensor.element_size()
    pages = -(-size // PAGE)
    memory = mmap.mmap(-1, (pages + 2) * PAGE)
    kept.append(memory)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    offset = PAGE + (pages * PAGE - size if at_end else 0)
    copy = torch.frombuffer(memory, dtype=tensor.dtype, count=tensor.numel(), offset=offset).view(tensor.shape)
    copy.copy_(tensor)
    for page in (start, start + (pages + 1) * PAGE):
        assert libc.mprotect(ctypes.c_void_p(page), PAGE, 0) == 0
    return copy


for name, make in cases.ARGUMENTS.items():
    for _ in range(2):
        cases.N, cases.D, cases.H, cases.W = (int(torch.randint(*r, ())) for r in ((1, 18), (4, 30), (1, 24), (1, 40)))
        cases.images.__defaults__ = cases.D, torch.randn
        native = bool(torch.rand(()) < .5)
        sizes = (cases.H, cases.W) if native else tuple(int(n) for n in torch.randint(1, 30, (2,)))
        if name == 'upsample_add':
            cases.H, cases.W = cases.H + 3, cases.W + 4
        with torch.no_grad():
            args = make(sizes)
            for place, within, tensor in list(tensors(args)):
                for at_end in (False, True):
                    if tensor.numel():
                        getattr(torch.ops.dicenet_mm, name)(*replaced(args, place, within, guarded(tensor, at_end)))
print('done')
'''


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs the memory protection of POSIX')
@pytest.mark.parametrize('isa', library.INSTRUCTION_SETS)
@pytest.mark.parametrize('seed', [0, 1])
def test_reads_nothing_beyond_its_arguments(isa, seed):
    """Each argument in turn has a page before or after it that may not be touched; many shapes."""
    done = subprocess.run([sys.executable, '-c', GUARDED, str(seed), str(1 + seed)], capture_output=True, text=True,
                          cwd=Path(__file__).parents[2], env=os.environ | {'DICENET_MM_ISA': isa}, timeout=300)
    assert done.stdout.strip() == 'done', done.stderr[-3000:]
