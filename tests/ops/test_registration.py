"""Every operator as PyTorch sees it: schema, shapes, gradients, and the operations that it counts."""
import pytest
import torch
from mmengine.config import Config
from torch.utils.flop_counter import FlopCounterMode, flop_registry

import dicenet_mm
from dicenet_mm.analysis import complexity
from dicenet_mm.inference.fused_op import CALLS
from dicenet_mm.layers import DiCEUnit, EfficientPointWise, EfficientPyramidPool
from dicenet_mm.models.backbones import DiCENet
from dicenet_mm.ops import backend, inference, library
from tests.ops.networks import raw_ssd

pytestmark = pytest.mark.skipif(not library.LOADED, reason='the compiled operators were not built')
N, D, H, W = 2, 5, 4, 7


def leaf(*shape):
    return torch.randn(shape).requires_grad_()


def kernels(sizes, make):
    return [make(count, 3, 3) for count in (D, *sizes)]


def gate(sizes, make):
    """An argument that may be missing: it is in one of the two cases."""
    return None if sizes == (H, W) else make(N, D, 1, 1)


def statistics(channels):
    return torch.randn(channels), torch.rand(channels) + 1


def point(inputs, outputs, taps=1):
    return inference.pack_point(torch.randn(outputs, inputs, taps, taps), *torch.randn(2, outputs))


def spatial():
    return inference.pack_spatial(torch.randn(D, 1, 3, 3), *torch.randn(2, D))


def grouped_conv(sizes):
    weights = inference.pack_groups(torch.randn(D, 1, 3, 3), *torch.randn(2, D), groups=D)
    return images(), weights, gate(sizes, torch.randn)


def pyramid_pool(sizes):
    branches, merge = [(torch.randn(D, 1, 3, 3), *torch.randn(2, D)) for _ in range(2)], torch.randn(D, 2, 3, 3)
    return images(), inference.pack_pyramid_pool(branches, (merge, *torch.randn(2, D))), [H, W, *sizes]


def unit(sizes):
    local = inference.pack_local(*torch.randn(3, D, 3), torch.randn(D, 3), *torch.randn(2, D))
    return [*kernels(sizes, torch.randn), local, spatial(), torch.randn(1, D), torch.randn(D, 1)]


def stage(sizes):
    """Channels have passed all blocks in the end."""
    return images(2 * D), *inference.pack_stage([], 2 * [[*point(D, D), *unit(sizes)]])


def strided_stage(sizes):
    blocks = [spatial(), *point(D, D - 2), *unit(sizes), *point(D, D + 2)], [[*point(D, D), *unit(sizes)]]
    return images(), *inference.pack_stage(*blocks)


def sequence(sizes):
    """Every layer there is, with other results than the last one."""
    rows = [('point_wise', point(D, 4), []),
            ('strided_conv_pool', point(4, 2 * D, taps=3), []),
            ('dice_stage', *flat(inference.pack_stage([], [[*point(D, D), *unit(sizes)]]))),
            ('point_wise', point(2 * D, D), []),
            ('dice_unit', *flat(inference.pack_unit(unit(sizes)))),
            ('spatial_conv', [spatial()], []),
            ('grouped_conv', point(D, D, taps=3), []),
            ('max_pool', [], []),
            ('average_pool', [], []),
            ('strided_conv', point(D, 6, taps=3), []),
            ('global_average_pool', [], []),
            ('flatten', [], []),
            ('linear', point(6, 3), [])]
    counts = [n for _, weights, numbers in rows for n in (len(weights), len(numbers))]
    names, weights, numbers = zip(*rows)
    return images(), ' '.join(names), sum(map(list, weights), []), counts, sum(numbers, []), [2, 7, 12]


def flat(pack):
    weights, *layout = pack
    return [weights], [int(n) for part in layout for n in (part if isinstance(part, list) else [part])]


def images(channels=D, make=torch.randn):
    return make(N, channels, H, W)


# Arguments of each operator for sizes of the height and width kernels. Where an operator has gradients they are leaves,
# so that these are checked too.
ARGUMENTS = {
    'dim_conv': lambda sizes: (images(make=leaf), *kernels(sizes, leaf)),
    'dim_conv_backward': lambda sizes: (images(3 * D), images(), *kernels(sizes, torch.randn),
                                        [True, False, True, True]),
    'norm_act': lambda sizes: (images(make=leaf), leaf(D), leaf(D), leaf(D), gate(sizes, leaf), *statistics(D), True,
                               1e-5),
    'norm_act_backward': lambda sizes: (images(), images(), *torch.randn(3, D), gate(sizes, torch.randn),
                                        *statistics(D), True, 1e-5),
    'dim_conv_fuse': lambda sizes: (images(make=leaf), *kernels(sizes, leaf), leaf(3 * D), leaf(3 * D), leaf(3 * D),
                                    leaf(D, 3), *statistics(3 * D), True, 1e-5),
    'dim_conv_fuse_backward': lambda sizes: (images(), images(), *kernels(sizes, torch.randn), *torch.randn(3, 3 * D),
                                             torch.randn(D, 3), *statistics(3 * D), True, 1e-5),
    'depth_wise_conv': lambda sizes: (images(make=leaf), leaf(D, 3, 3)),
    'depth_wise_conv_backward': lambda sizes: (images(), images(), torch.randn(D, 3, 3)),
    'point_wise': lambda sizes: (images(), point(D, 11)),
    'spatial_conv': lambda sizes: (images(), spatial()),
    'grouped_conv': grouped_conv,
    'strided_conv': lambda sizes: (images(), point(D, 11, taps=3)),
    'max_pool': lambda sizes: (images(),),
    'average_pool': lambda sizes: (images(),),
    'global_average_pool': lambda sizes: (images(),),
    'strided_conv_pool': lambda sizes: (images(), point(D, 11, taps=3)),
    'pyramid_pool': pyramid_pool,
    'upsample_add': lambda sizes: (torch.randn(N, D, 3, 4), images(), torch.randn(D, 3)),
    'dice_unit': lambda sizes: (images(), *inference.pack_unit(unit(sizes))),
    'dice_stage': lambda sizes: stage(sizes) if sizes == (H, W) else strided_stage(sizes),
    'sequence': sequence,
}


def test_every_operator_stands_here_and_counts_its_operations():
    names = {name.split('::')[1] for name in torch._C._dispatch_get_all_op_names() if name.startswith('dicenet_mm::')}
    assert names == ARGUMENTS.keys()
    made_of_others = {'sequence'}  # which count
    of_several_inputs_or_sizes = {'gated_conv', 'pyramid_pool', 'upsample_add'}
    assert set(sequence((H, W))[1].split()) == CALLS.keys() - of_several_inputs_or_sizes
    assert all(getattr(torch.ops.dicenet_mm, name) in flop_registry for name in names - made_of_others)


@pytest.mark.parametrize('name', ARGUMENTS)
@pytest.mark.parametrize('layout,sizes', [(torch.contiguous_format, (H, W)), (torch.channels_last, (3, 9))])
def test_opcheck(name, layout, sizes):
    """Among much else: results have the strides that the fake kernels say, whatever those of the input are."""
    def laid_out(arg):
        if isinstance(arg, torch.Tensor) and arg.shape[2:] == (H, W):
            return arg.detach().to(memory_format=layout).requires_grad_(arg.requires_grad)
        return arg

    args = tuple(map(laid_out, ARGUMENTS[name](sizes)))
    torch.library.opcheck(getattr(torch.ops.dicenet_mm, name).default, args, atol=1e-4, rtol=1e-4)


def counted(model, *args, backward=False):
    with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(backward):
        outs = model(*args)
        if backward:
            outs.sum().backward()
    return counter.get_total_flops()


@pytest.mark.parametrize('make,shape', [
    (lambda: DiCEUnit(12, 12, (7, 9)), (2, 12, 7, 9)),
    (lambda: DiCEUnit(12, 12, (7, 9)), (2, 12, 12, 5)),
    (lambda: DiCENet(0.2, input_size=64), (2, 3, 64, 64)),
    (lambda: DiCENet(0.2, input_size=64), (2, 3, 75, 50)),
    (raw_ssd, (2, 3, 300, 300)),
    (lambda: EfficientPyramidPool(6, 5, 8), (2, 6, 12, 9)),
    (lambda: EfficientPointWise(6, 8), (2, 6, 12, 9)),
])
def test_networks_count_what_they_count_in_plain_pytorch(make, shape):
    model, x = make(), torch.randn(shape)
    with backend('reference'):
        plain = counted(model, x)
    assert counted(model, x) == plain > 0
    assert counted(dicenet_mm.fuse(model.eval()), x) == plain


@pytest.mark.parametrize('size', [(7, 9), (12, 5)])
def test_gradients_count_two_convolutions_for_each(size):
    """PyTorch's own formula, which leaves the groups of a convolution's gradient out, is no oracle here."""
    unit, x = DiCEUnit(12, 12, (7, 9)), torch.randn(2, 12, *size, requires_grad=True)
    assert counted(unit, x, backward=True) == 3 * counted(unit, x)


def test_the_tool_counts_the_same_without_the_operators():
    cfg = Config.fromfile('configs/ssd_dicenet_300_voc0712.py')
    compiled = complexity(cfg, (300, 300))
    with backend('reference'):
        assert complexity(cfg, (300, 300)) == compiled
