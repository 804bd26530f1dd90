"""DiCENet: complexity against the authors' figures, shapes, initialisation, kernels of another size."""
import json

import pytest
import torch

from dicenet_mm.models.backbones import dicenet
from dicenet_mm.models.backbones.dicenet import WIDTHS, DiCENet
from tests.complexity import complexity

LAST = {0.1: 512, 0.2: 1024, 2.4: 1280}  # 1024 elsewhere: the classifier's hidden width


@pytest.mark.parametrize('width', WIDTHS)
def test_complexity_with_the_classifier(shared, width):
    """The backbone's counts plus the classifier's by arithmetic: C L / 4 for the grouped layer, 1000 L for the last."""
    expected = json.loads((shared / 'reference/complexity.json').read_text())['classification_224']['measured']
    with torch.device('meta'):
        macs, parameters = complexity(DiCENet(width).eval(), 224)
    last, grouped = LAST.get(width, 1024), WIDTHS[width][-1] * LAST.get(width, 1024) / 4
    assert macs + (grouped + 1000 * last) / 1e6 == pytest.approx(expected[str(width)][0], rel=5e-3)
    assert parameters + (grouped + 1001 * last) / 1e6 == pytest.approx(expected[str(width)][1], rel=5e-3)


@pytest.mark.parametrize('width', [2.0, 2.4])
@pytest.mark.parametrize('size', [224, 300, 512])
def test_complexity_of_the_backbone(shared, width, size):
    file = json.loads((shared / 'reference/complexity.json').read_text())
    expected = file['backbone_without_classifier']['measured'][str(width)]
    with torch.device('meta'):
        macs, parameters = complexity(DiCENet(width).eval(), size)
    assert macs == pytest.approx(expected[str(size)], rel=5e-3)
    assert parameters == pytest.approx(expected['params'], rel=5e-3)


@pytest.mark.parametrize('width', WIDTHS)
@pytest.mark.parametrize('size', [(64, 64), (33, 70)])
def test_every_width_gives_its_maps(width, size):
    model = DiCENet(width, input_size=size, out_indices=range(5))
    outs = model(torch.rand(2, 3, *size))
    stem, *stages = WIDTHS[width]
    assert model.out_channels == (stem, stem, *stages)
    side = torch.tensor(size)
    for out, channels in zip(outs, model.out_channels):
        side = (side + 1) // 2
        assert out.shape == (2, channels, *side)
    sum(out.sum() for out in outs).backward()
    assert all(p.grad is not None for p in model.parameters())


def test_initialisation():
    model = DiCENet(1.0)
    model.init_weights()
    weight = model.stage2[3].branch[0][0].weight
    assert weight.std().item() == pytest.approx((2 / weight.shape[0]) ** 0.5, rel=0.05)
    assert (model.stem[2].weight == 0.25).all()


def test_checkpoint_of_another_input_size_is_resampled(monkeypatch, tmp_path):
    """Kernels built for 300 px serve 224 px, averaged as a map would be; one message tells."""
    said = []
    monkeypatch.setattr(dicenet, 'print_log', lambda message, **_: said.append(message))
    source = DiCENet(0.1, input_size=300)
    torch.save(source.state_dict(), tmp_path / 'at300.pth')
    model = DiCENet(0.1, init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'at300.pth')))
    model.init_weights()
    assert len(said) == 1 and 'resampled (38 -> 28, 19 -> 14, 10 -> 7)' in said[0]
    old, new = source.stage3[0].right[1].dim_conv, model.stage3[0].right[1].dim_conv
    # bins of 10 rows onto 7, the first and the last: rows 0-1 and 8-9
    torch.testing.assert_close(new.height_weight[0], old.height_weight[:2].mean(0))
    torch.testing.assert_close(new.width_weight[-1], old.width_weight[8:].mean(0))
    torch.testing.assert_close(new.depth_weight, old.depth_weight)
