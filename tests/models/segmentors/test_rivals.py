"""Today's small segmentation networks with our data and recipe: multiply-adds, a training step, and the fused form."""
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from dicenet_mm import fuse
from dicenet_mm.analysis import complexity, image_shape


# Published: 21.15 G on 1024x512 px and 19 classes, without the heads that only train; 8.4 G on 512x512 px, 3.8 M with
# 150 classes, where attention, which grows with the square of the pixels, has a larger share.
@pytest.mark.parametrize('name,macs,parameters', [('bisenetv2', 21150 / 8, 3.34), ('segformer_b0', 8400 / 4, 3.75)])
def test_counts_trains_and_fuses(name, macs, parameters):
    cfg = Config.fromfile(f'configs/baselines/{name}_256_voc12aug.py')
    init_default_scope('mmseg')
    assert image_shape(cfg) == (256, 256)
    counts = complexity(cfg, (256, 256))
    assert counts['total']['macs'] / 1e6 == pytest.approx(macs, rel=0.2)
    served = counts['total']['parameters'] - counts.get('auxiliary_head', dict(parameters=0))['parameters']
    assert served / 1e6 == pytest.approx(parameters, rel=0.02)
    model = MODELS.build(cfg.model)
    model.init_weights()
    torch.manual_seed(0)
    images = torch.randn(2, 3, 128, 128)
    samples = [SegDataSample(gt_sem_seg=PixelData(data=torch.randint(21, (1, 128, 128))),
                             metainfo=dict(img_shape=(128, 128))) for _ in images]
    terms = model.train().loss(images, samples)
    sum(value for key, value in terms.items() if 'loss' in key).backward()
    assert all(value.isfinite() for value in terms.values())
    assert all(p.grad is not None for p in model.backbone.parameters())
    model.eval()
    with torch.no_grad():
        expected, found = (network(images, mode='tensor') for network in (model, fuse(model)))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())
