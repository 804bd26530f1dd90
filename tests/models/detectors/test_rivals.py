"""Today's small detectors with our data and recipe: multiply-adds, a training step, and the fused form."""
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from dicenet_mm import fuse
from dicenet_mm.analysis import complexity, image_shape
from tests.models.detectors.test_ssd import batch


# Published with 80 classes, and RTMDet at 640 px: 8.1 G and 4.9 M; 0.54 G and 0.91 M. Here there are 20.
@pytest.mark.parametrize('name,size,millions', [('rtmdet_tiny', 320, (8100 / 4, 4.9)),
                                                ('yolox_nano', 416, (540, 0.91))])
def test_counts_trains_and_fuses(name, size, millions):
    cfg = Config.fromfile(f'configs/baselines/{name}_{size}_voc0712.py')
    init_default_scope('mmdet')
    assert image_shape(cfg) == (size, size)
    counts = complexity(cfg, (size, size))['total']
    assert (counts['macs'] / 1e6, counts['parameters'] / 1e6) == pytest.approx(millions, rel=0.07)
    model = MODELS.build(cfg.model)
    model.init_weights()
    model.train()
    inputs, samples = batch(model, 2, size)
    for sample in samples:  # as the data preprocessor has them
        sample.gt_instances.bboxes = sample.gt_instances.bboxes.tensor
        del sample.ignored_instances
    terms = model.loss(inputs, samples)
    loss = sum(sum(value) if isinstance(value, list) else value for value in terms.values())
    loss.backward()
    assert loss.isfinite() and all(p.grad is not None for p in model.backbone.parameters())
    model.eval()
    with torch.no_grad():
        expected, found = (network(inputs[:1], None, mode='tensor') for network in (model, fuse(model)))
    for mine, other in zip(expected, found):
        for a, b in zip(mine, other):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4 * a.abs().max().item())
