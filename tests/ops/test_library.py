"""The compiled operators: every instruction set, gradients, registration, determinism, and life without them."""
import os
import subprocess
import sys

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.utils.flop_counter import FlopCounterMode

import dicenet_mm
from dicenet_mm import ops
from dicenet_mm.layers import DiCEUnit
from dicenet_mm.ops import dim_conv, library, reference
from tests.naive import randomised
from tests.ops.test_dim_conv import naive, weights

needs_binary = pytest.mark.skipif(not library.LOADED, reason='the compiled operators were not built')
SIZES = [((2, 5, 6, 7), (6, 7)), ((1, 37, 9, 20), (9, 20)), ((1, 4, 17, 40), (7, 14)), ((1, 3, 3, 5), (14, 28)),
         ((1, 6, 1, 1), (3, 3)), ((2, 6, 1, 1), (1, 1)), ((2, 3, 5, 4), (1, 1)), ((1, 9, 5, 33), (5, 28))]


def arguments(shape, kernel_sizes, dtype=torch.float64):
    return [torch.randn(shape, dtype=torch.float64).to(dtype).requires_grad_(),
            *(k.to(dtype).requires_grad_() for k in weights(shape[1], *kernel_sizes))]


@needs_binary
@pytest.mark.parametrize('shape', [(2, 4, 3, 5), (1, 2, 2, 20), (1, 1, 1, 1), (1, 2, 1, 35)])
def test_gradients_equal_naive_loops(shape):
    """The naive sums are linear in the input, and in the kernels together: columns of their Jacobian."""
    args = arguments(shape, shape[2:])
    grad = torch.randn(shape[0], 3 * shape[1], *shape[2:], dtype=torch.float64)
    got = torch.autograd.grad(dim_conv(*args), args, grad)
    plain = [arg.detach() for arg in args]
    for i, (arg, gradient) in enumerate(zip(plain, got)):
        for k in range(0, arg.numel(), max(1, arg.numel() // 5)):
            unit = torch.zeros(arg.numel(), dtype=torch.float64)
            unit[k] = 1
            others = plain if i == 0 else [plain[0], *(torch.zeros_like(k) for k in plain[1:])]
            column = naive(*others[:i], unit.view_as(arg), *others[i + 1:])
            torch.testing.assert_close(gradient.flatten()[k], (column * grad).sum(), rtol=1e-10, atol=1e-10)


@needs_binary
@pytest.mark.parametrize('shape,kernel_sizes', SIZES)
@pytest.mark.parametrize('dtype,tolerance', [(torch.float64, 1e-12), (torch.float32, 3e-6), (torch.float16, 2e-3),
                                             (torch.bfloat16, 1e-2)])
def test_every_instruction_set(instruction_set, shape, kernel_sizes, dtype, tolerance):
    args = arguments(shape, kernel_sizes, dtype)
    doubles = [arg.detach().double().requires_grad_() for arg in args]
    grad = torch.randn(shape[0], 3 * shape[1], *shape[2:], dtype=torch.float64).to(dtype)
    y, expected = dim_conv(*args), reference.dim_conv(*doubles)
    grads = torch.autograd.grad(y, args, grad)
    for a, b in zip((y, *grads), (expected, *torch.autograd.grad(expected, doubles, grad.double()))):
        assert a.dtype == dtype
        assert (a.double() - b).abs().max() <= tolerance * b.abs().max().clamp(min=1e-3)


@needs_binary
@pytest.mark.parametrize('size', [(28, 28), (19, 40)])
def test_fused_unit_in_every_instruction_set(instruction_set, size):
    unit, x = randomised(DiCEUnit(37, 37, (28, 28))), torch.randn(2, 37, *size)
    expected = unit.double()(x.double())
    got = dicenet_mm.fuse(unit.float())(x)
    assert (got - expected).abs().max() <= 1e-5 * expected.abs().max()


@needs_binary
def test_the_choice_of_an_instruction_set_is_kept_and_can_be_held_back():
    """Whatever the environment says later; every set that runs here gives other bits or the same."""
    run = """
import os
from dicenet_mm.ops import library
chosen = library._BINARY.dicenet_mm_instruction_set
print(chosen().decode(), *library.INSTRUCTION_SETS)
os.environ["DICENET_MM_ISA"] = "portable"
print(chosen().decode())
with library.instruction_set("portable"):
    print(chosen().decode())
print(chosen().decode())
"""

    def printed(**variables):
        done = subprocess.run([sys.executable, '-c', run], capture_output=True, text=True, env=os.environ | variables)
        return done.stdout.splitlines(), done

    best, *names = printed(DICENET_MM_ISA='')[0][0].split()
    assert names[0] == best and names[-1] == 'portable'
    for name in names:
        assert printed(DICENET_MM_ISA=name)[0] == [' '.join((name, *names)), name, 'portable', name]
    with pytest.raises(ValueError, match='instruction sets that run here: .*portable'):
        with library.instruction_set('sse9'):
            pass


@needs_binary
def test_an_unknown_instruction_set_in_the_environment_is_named():
    run = 'import torch; from dicenet_mm.ops import dim_conv; dim_conv(torch.ones(1, 1, 1, 1), *torch.ones(3, 1, 3, 3))'
    done = subprocess.run([sys.executable, '-c', run], capture_output=True, text=True,
                          env=os.environ | {'DICENET_MM_ISA': 'sse9'})
    assert done.returncode and 'DICENET_MM_ISA must name one of' in done.stderr and 'got sse9' in done.stderr


def test_the_reference_serves_on_demand():
    x, kernels = torch.randn(2, 5, 6, 7), [k.float() for k in weights(5, 6, 7)]
    assert library.is_supported('dim_conv', x) == library.LOADED
    with ops.backend('reference'):
        assert not any(library.is_supported(name, x) for name in ('dim_conv', 'norm_act', 'point_wise', 'dice_unit'))
        assert torch.equal(dim_conv(x, *kernels), reference.dim_conv(x, *kernels))
        with ops.backend('compiled'):
            assert library.is_supported('dim_conv', x) == library.LOADED
    assert library.is_supported('norm_act', x) == library.LOADED
    assert not library.is_supported('norm_act', x.double()) and not library.is_supported('point_wise', x.half())
    with pytest.raises(ValueError, match='"compiled" or "reference", got \'fast\''):
        with ops.backend('fast'):
            pass


@needs_binary
@pytest.mark.parametrize('shape,kernel_sizes', [SIZES[1], SIZES[2]])
def test_same_bits_in_two_runs_and_at_any_number_of_threads(shape, kernel_sizes):
    args = arguments((3, 70, *shape[2:]), kernel_sizes, torch.float32)
    grad = torch.randn(3, 210, *shape[2:])

    def run(threads):
        torch.set_num_threads(threads)
        y = dim_conv(*args)
        return y, *torch.autograd.grad(y, args, grad)

    first = run(1)
    try:
        others = [run(2), run(3), run(1)]
    finally:
        torch.set_num_threads(1)
    assert all(torch.equal(a, b) for other in others for a, b in zip(first, other))


@pytest.mark.parametrize('frozen', range(4))
def test_gradcheck_with_an_argument_that_needs_none(frozen):
    args = arguments((1, 3, 4, 5), (2, 7))
    args[frozen].requires_grad_(False)
    assert gradcheck(dim_conv, args)


def test_gradient_of_the_gradient():
    assert gradgradcheck(dim_conv, arguments((1, 2, 3, 4), (3, 2)))


@needs_binary
def test_compiles_without_a_graph_break():
    args = arguments((1, 3, 4, 5), (2, 7), torch.float32)
    torch.testing.assert_close(torch.compile(dim_conv, fullgraph=True, backend='aot_eager')(*args), dim_conv(*args))


def test_autocast():
    args = arguments((1, 3, 4, 5), (4, 5), torch.float32)
    with torch.autocast('cpu', torch.bfloat16):
        y = dim_conv(args[0].bfloat16(), *args[1:])
    assert y.dtype == torch.bfloat16
    y.sum().backward()
    assert all(arg.grad.dtype == torch.float32 for arg in args)


@needs_binary
def test_flops():
    """Two for each multiply-add: 9 for each output of each branch, at the size of its kernels."""
    args = arguments((2, 3, 4, 5), (2, 7), torch.float32)
    counter = FlopCounterMode(display=False)
    with counter:
        y = dim_conv(*args)
    forward = 2 * 9 * 2 * 3 * (4 * 5 + 2 * 5 + 4 * 7)
    assert counter.get_total_flops() == forward
    with counter:
        y.sum().backward()
    assert counter.get_total_flops() == 2 * forward


def test_without_the_binary(tmp_path):
    """The reference serves, and one warning says how to build."""
    code = ('import warnings, pathlib\n'
            'glob = pathlib.Path.glob\n'
            'pathlib.Path.glob = lambda self, pattern: [] if pattern == "_C.*" else glob(self, pattern)\n'
            'with warnings.catch_warnings(record=True) as caught:\n'
            '    warnings.simplefilter("always")\n'
            '    from dicenet_mm.ops import dim_conv, library\n'
            'assert not library.LOADED and not library.DEVICES\n'
            'found = [str(w.message) for w in caught if "dicenet_mm" in str(w.message)]\n'
            'assert len(found) == 1 and "pip install --no-build-isolation" in found[0], found\n'
            'import torch\n'
            'k = torch.rand(4, 3, 3)\n'
            'assert dim_conv(torch.rand(1, 4, 4, 4), k, k, k).shape == (1, 12, 4, 4)\n')
    run = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
