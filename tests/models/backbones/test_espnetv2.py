"""ESPNetv2: complexity against published figures, shapes at any size, the receptive fields of its units."""
import json

import pytest
import torch

from dicenet_mm.models.backbones.espnetv2 import WIDTHS, ESPNetv2
from tests.complexity import complexity


def test_complexity_with_the_classifier(shared):
    """ESPNetv2 of Table VII, at 224 px; the multiply-adds published for it leave the linear layer out."""
    file = json.loads((shared / 'reference/complexity.json').read_text())['table_VII']
    row = dict(zip(file['columns'], next(row for row in file['rows'] if row[0] == 'ESPNetv2')))
    with torch.device('meta'):
        macs, parameters = complexity(ESPNetv2(2.0, out_indices=(5,)).eval(), 224)
    assert macs == pytest.approx(row['MACs (M)'], rel=5e-3)
    assert parameters + 1281 * 1000 / 1e6 == pytest.approx(row['params (M)'], abs=0.05)  # to the digits given


@pytest.mark.parametrize('width', WIDTHS)
@pytest.mark.parametrize('size', [(64, 64), (33, 70)])
def test_every_width_gives_its_maps(width, size):
    """Also where the image does not halve evenly: its shortcut must meet the maps' size."""
    model = ESPNetv2(width, out_indices=range(6))
    outs = model(torch.rand(2, 3, *size))
    assert model.out_channels == WIDTHS[width]
    side = torch.tensor(size)
    for index, (out, channels) in enumerate(zip(outs, WIDTHS[width])):
        if index < 5:  # the last level keeps the size
            side = (side + 1) // 2
        assert out.shape == (2, channels, *side)
    sum(out.sum() for out in outs).backward()
    assert all(p.grad is not None for p in model.parameters())


def reach(block, size=31):
    """How far from the middle an input pixel changes the middle output pixel, px."""
    x = torch.randn(1, 16, size, size, requires_grad=True)
    block(x)[0, :, size // 2, size // 2].sum().backward()
    rows = x.grad.abs().sum((0, 1, 3)).nonzero()
    return (rows - size // 2).abs().max().item()


@pytest.mark.parametrize('limit,dilations', [(9, (1, 2, 3, 4)), (7, (1, 1, 2, 3)), (5, (1, 1, 1, 2))])
def test_receptive_fields(limit, dilations):
    """A unit with receptive-field limit r sees r // 2 pixels to each side; ESPNetv2 has such units in these stages."""
    from dicenet_mm.layers import EESPBlock
    assert reach(EESPBlock(16, dilations).eval()) == limit // 2
    stage = {9: 'stage2', 7: 'stage3', 5: 'stage4'}[limit]
    blocks = list(getattr(ESPNetv2(0.5), stage))[1:]
    assert all(tuple(conv.dilation[0] for conv in block.eesp.branches) == dilations for block in blocks)
