"""Counts of a network, for tests that compare with the authors' figures."""
import torch
from torch.utils.flop_counter import FlopCounterMode


def complexity(model, size):
    """(multiply-adds, parameters), in millions, for one square image of ``size`` px."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.empty(1, 3, size, size, device='meta'))
    return counter.get_total_flops() / 2e6, sum(p.numel() for p in model.parameters()) / 1e6
