"""Training under autocast to bfloat16 on the CPU."""
import torch
from torch import nn

from dicenet_mm.engine import BFloat16OptimWrapper


def test_products_are_bfloat16_and_weights_stay_float32():
    layer = nn.Linear(4, 3)
    wrapper = BFloat16OptimWrapper(optimizer=torch.optim.SGD(layer.parameters(), lr=0.1))
    before = layer.weight.detach().clone()
    with wrapper.optim_context(layer):
        out = layer(torch.ones(2, 4))
        loss = out.float().sum()
    wrapper.update_params(loss)
    assert out.dtype == torch.bfloat16 and layer.weight.dtype == torch.float32
    torch.testing.assert_close(layer.weight, before - 0.1 * 2)  # the gradient: two samples of ones
