"""Two processes that train on half of a batch each, against one process."""
import copy

import pytest
import torch
import torch.distributed as dist
from torch import multiprocessing
from torch.nn.parallel import DistributedDataParallel

from dicenet_mm.models.backbones import DiCENet
from dicenet_mm.ops import library

pytestmark = pytest.mark.skipif(not (library.LOADED and dist.is_available() and dist.is_gloo_available()),
                                reason='needs the compiled operators and gloo')
CASES = [dict(norm_eval=True), dict(norm_eval=False), dict(norm_eval=False, with_cp=True)]


def make(**options):
    torch.manual_seed(0)
    model = DiCENet(0.1, input_size=64, **options)
    x = torch.randn(4, 3, 75, 64)  # not the kernels' own height
    assert library.is_supported('norm_act', x)
    return model, x


def gradients(model, x):
    """Of a loss that is a mean over the images."""
    sum(out.square().mean() for out in model(x)).backward()
    return {name.removeprefix('module.'): parameter.grad for name, parameter in model.named_parameters()}


def work(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=2)
    results = []
    for options in CASES:
        model, x = make(**options)
        results.append(gradients(DistributedDataParallel(model), x[2 * rank:2 * rank + 2]))
    torch.save(results, f'{folder}/{rank}.pt')
    dist.destroy_process_group()


def test_gradients_of_two_processes(tmp_path):
    """With the statistics fixed, those of the joined batch; else the mean of the halves', each normalised alone."""
    multiprocessing.spawn(work, (tmp_path,), nprocs=2)
    results = [torch.load(tmp_path / f'{rank}.pt') for rank in range(2)]
    for options, first, second in zip(CASES, *results, strict=True):
        model, x = make(**options)
        if options['norm_eval']:
            expected = gradients(model, x)
        else:
            halves = [gradients(copy.deepcopy(model), half) for half in x.split(2)]
            expected = {name: (halves[0][name] + halves[1][name]) / 2 for name in halves[0]}
        assert first.keys() == second.keys() == expected.keys()
        for name, gradient in expected.items():
            assert torch.equal(first[name], second[name])
            torch.testing.assert_close(first[name], gradient, rtol=1e-4, atol=1e-5 * gradient.abs().max().item())
