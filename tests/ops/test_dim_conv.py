"""dim_conv against naive loops, invariants, and what it must refuse."""
import itertools

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from dicenet_mm.ops import dim_conv, resize_axis


def weights(depth, height, width, dtype=torch.float64, taps=3):
    return [torch.randn(n, taps, taps, dtype=dtype) for n in (depth, height, width)]


def naive(x, depth_weight, height_weight, width_weight, dilation=1):
    """Equation 1 term by term, at the kernels' own size."""
    x, kd, kh, kw = (t.numpy() for t in (x, depth_weight, height_weight, width_weight))
    n, d, h, w = x.shape
    half = kd.shape[-1] // 2
    out = np.zeros((n, 3 * d, h, w))

    def at(b, c, i, j):
        inside = 0 <= c < d and 0 <= i < h and 0 <= j < w
        return x[b, c, i, j] if inside else 0.0

    for b, c, i, j in itertools.product(range(n), range(d), range(h), range(w)):
        for u, v in itertools.product(range(-half, half + 1), repeat=2):
            s, t = u * dilation, v * dilation
            out[b, 3 * c, i, j] += kd[c, u + half, v + half] * at(b, c, i + s, j + t)
            out[b, 3 * c + 1, i, j] += kh[i, u + half, v + half] * at(b, c + s, i, j + t)
            out[b, 3 * c + 2, i, j] += kw[j, u + half, v + half] * at(b, c + s, i + t, j)
    return torch.from_numpy(out)


@pytest.mark.parametrize('shape', [(2, 4, 5, 6), (1, 1, 1, 1), (1, 3, 1, 4), (2, 2, 4, 1), (1, 5, 3, 3)])
@pytest.mark.parametrize('dilation,taps', [(1, 3), (2, 3), (1, 5)])
def test_equals_naive_loops(shape, dilation, taps):
    x = torch.randn(shape, dtype=torch.float64)
    kernels = weights(*shape[1:], taps=taps)
    torch.testing.assert_close(dim_conv(x, *kernels, dilation=dilation), naive(x, *kernels, dilation=dilation),
                               rtol=0, atol=1e-12)


def test_delta_gives_the_cross():
    """One voxel reaches its 3x3 neighbours in each of the three planes through it, and nothing else."""
    x = torch.zeros(1, 5, 5, 5, dtype=torch.float64)
    x[0, 2, 2, 2] = 1
    ones = torch.ones(5, 3, 3, dtype=torch.float64)
    depth, height, width = dim_conv(x, ones, ones, ones)[0].unflatten(0, (5, 3)).unbind(1)
    near = torch.zeros(5, dtype=torch.float64)
    near[1:4] = 1
    one = torch.eye(5, dtype=torch.float64)[2]
    for got, (a, b, c) in ((depth, (one, near, near)), (height, (near, one, near)), (width, (near, near, one))):
        assert torch.equal(got, torch.einsum('i,j,k->ijk', a, b, c))


@pytest.mark.parametrize('order', list(itertools.permutations(range(3))))
def test_symmetric_under_permutation_of_the_dimensions(order):
    """Swapping the tensor's dimensions swaps the kernels' roles and their axes."""
    x = torch.randn(2, 4, 5, 6, dtype=torch.float64)
    kernels = weights(4, 5, 6)
    moved = []
    for new in range(3):
        old = order[new]
        planes = [i for i in range(3) if i != old]  # axes of the kernel, in the old order
        swapped = [order[i] for i in range(3) if i != new] != planes
        moved.append(kernels[old].transpose(1, 2) if swapped else kernels[old])
    expected = dim_conv(x, *kernels).unflatten(1, (4, 3)).movedim(2, 1)  # (N, 3, D, H, W)
    got = dim_conv(x.permute(0, *(1 + i for i in order)), *moved).unflatten(1, (-1, 3)).movedim(2, 1)
    torch.testing.assert_close(got, expected[:, list(order)].permute(0, 1, *(2 + i for i in order)))


def test_without_height_and_width_kernels_it_is_depth_wise():
    x = torch.randn(2, 4, 5, 6)
    kd = torch.randn(4, 3, 3)
    out = dim_conv(x, kd, torch.zeros(5, 3, 3), torch.zeros(6, 3, 3))
    torch.testing.assert_close(out[:, ::3], torch.conv2d(x, kd[:, None], padding=1, groups=4))
    assert not out[:, 1::3].any() and not out[:, 2::3].any()


LAYOUTS = {
    'contiguous': lambda x: x.clone(memory_format=torch.contiguous_format),
    'channels_last': lambda x: x.contiguous(memory_format=torch.channels_last),
    'slice': lambda x: torch.stack((x, x), dim=-1).flatten(3)[..., ::2],
    'transposed': lambda x: x.mT.contiguous().mT,
    'offset': lambda x: torch.cat((x.new_zeros(1), x.flatten()))[1:].view(x.shape),  # not aligned to a vector
    'expanded': lambda x: x[:1].expand_as(x),
}


@pytest.mark.parametrize('kernel_sizes', [(5, 6), (3, 9)])
@pytest.mark.parametrize('dtype,tolerance', [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 3e-2),
                                             (torch.float16, 5e-3)])
@pytest.mark.parametrize('layout', LAYOUTS)
def test_layouts(layout, dtype, tolerance, kernel_sizes):
    """Input, kernels and gradient of any strides give what contiguous ones do in double precision."""
    shapes = ((2, 4, 5, 6), (4, 3, 3), (kernel_sizes[0], 3, 3), (kernel_sizes[1], 3, 3))
    x, *kernels = (torch.randn(shape).to(dtype) for shape in shapes)
    grad = torch.randn(2, 12, 5, 6).to(dtype)
    laid_out = LAYOUTS[layout]
    args = [laid_out(x).requires_grad_(), *(k.mT.contiguous().mT.requires_grad_() for k in kernels)]
    y = dim_conv(*args)
    doubles = [arg.detach().double().contiguous().requires_grad_() for arg in args]
    z = dim_conv(*doubles)
    for got, expected in zip((y, *torch.autograd.grad(y, args, laid_out(grad))),
                             (z, *torch.autograd.grad(z, doubles, laid_out(grad).double().contiguous()))):
        assert got.dtype == dtype
        assert (got.double() - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize('kernel_sizes', [(6, 6), (3, 9)])
def test_empty_batch(kernel_sizes, dtype):
    args = [torch.randn(shape).to(dtype).requires_grad_() for shape in (
        (0, 4, 6, 6), (4, 3, 3), (kernel_sizes[0], 3, 3), (kernel_sizes[1], 3, 3))]
    y = dim_conv(*args)
    assert y.shape == (0, 12, 6, 6) and y.dtype == dtype
    for arg, grad in zip(args, torch.autograd.grad(y.sum(), args)):
        assert grad.shape == arg.shape and grad.dtype == dtype and not grad.any()


@pytest.mark.parametrize('dtype,rtol', [(torch.float32, 1e-5), (torch.bfloat16, 5e-2), (torch.float16, 1e-2)])
@pytest.mark.parametrize('kernel_sizes', [(5, 6), (3, 9)])
def test_dtypes(dtype, rtol, kernel_sizes):
    x = torch.randn(2, 4, 5, 6, dtype=torch.float64)
    kernels = weights(4, *kernel_sizes)
    out = dim_conv(x.to(dtype), *(k.to(dtype) for k in kernels))
    assert out.dtype == dtype
    expected = dim_conv(x.to(dtype).double(), *(k.to(dtype).double() for k in kernels))
    assert (out.double() - expected).abs().max() <= rtol * expected.abs().max()


@pytest.mark.parametrize('kernel_sizes', [(4, 5), (2, 7), (6, 3)])
def test_gradcheck(kernel_sizes):
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    assert gradcheck(dim_conv, (x, *(k.requires_grad_() for k in weights(3, *kernel_sizes))))


def test_resize_axis_literals():
    x = torch.tensor([1., 3., 5., 7.]).view(1, 1, 4, 1)
    assert resize_axis(x, 2, 4) is x
    assert resize_axis(x, 2, 2).flatten().tolist() == [2, 6]
    assert resize_axis(x, 2, 3).flatten().tolist() == [2, 4, 6]  # bins [0,2) [1,3) [2,4)
    assert resize_axis(x, 2, 7).flatten().tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert resize_axis(x.mT, 3, 7).flatten().tolist() == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize('change,error,match', [
    (dict(x=[1]), TypeError, 'x must be a tensor'),
    (dict(x=torch.zeros(1, 4, 5, 6, dtype=torch.int64)), TypeError, 'floating point'),
    (dict(x=torch.zeros(4, 5, 6)), ValueError, r'\(N, D, H, W\)'),
    (dict(x=torch.zeros(1, 4, 0, 6)), ValueError, 'at least one row'),
    (dict(depth_weight=torch.zeros(3, 3, 3)), ValueError, 'depth_weight holds 3 kernels and x has 4 channels'),
    (dict(depth_weight=torch.zeros(4, 1, 3, 3)), ValueError, 'depth_weight must have the shape'),
    (dict(height_weight=torch.zeros(5, 2, 2)), ValueError, 'height_weight must have the shape'),
    (dict(height_weight=torch.zeros(0, 3, 3)), ValueError, 'height_weight must hold at least one'),
    (dict(width_weight=torch.zeros(5, 5, 5)), ValueError, 'width_weight has kernels of 5 px'),
    (dict(width_weight=torch.zeros(6, 3, 3).double()), TypeError, 'width_weight must be of the dtype of x'),
    (dict(dilation=0), ValueError, 'dilation'),
])
def test_refuses(change, error, match):
    kernels = dict(zip(('depth_weight', 'height_weight', 'width_weight'), weights(4, 5, 6, torch.float32)))
    with pytest.raises(error, match=match):
        dim_conv(**{'x': torch.zeros(1, 4, 5, 6), **kernels, **change})
