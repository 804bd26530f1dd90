"""The moving average beside accumulated steps, and crops by the size of the model."""
import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

from dicenet_mm.datasets import ImageFolderDataset
from dicenet_mm.engine.hooks import crop_scale
from tests.data import make_folders


@MODELS.register_module()
class Averaged(BaseModel):
    """A weight that each update raises by 1, and batch normalisation that sees 0, 1, 2, ..."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.norm = nn.BatchNorm1d(1, momentum=1., affine=False)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        self.norm(torch.stack(inputs)[:, None])
        return dict(loss=-self.weight.sum())


class Numbers(Dataset):
    """Two samples of 0, two of 1, and so on."""

    def __len__(self):
        return 24

    def __getitem__(self, index):
        return dict(inputs=torch.tensor(index // 2, dtype=torch.float32))


def train(folder, accumulated, epochs=1, resume=False):
    """Train with a moving average; the checkpoint of the last epoch, and the model."""
    runner = Runner(
        Averaged(), str(folder), experiment_name=f'average-{folder.name}-{folder.parent.name}-{epochs}', resume=resume,
        train_dataloader=dict(batch_size=2, dataset=Numbers(), sampler=dict(type='DefaultSampler', shuffle=False)),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=1.), accumulative_counts=accumulated),
        custom_hooks=[dict(type='UpdateEMAHook', momentum=0.25, update_buffers=True)], default_scope='mmengine',
        default_hooks=dict(logger=dict(type='LoggerHook', interval=100),
                           checkpoint=dict(type='PlainCheckpointHook', interval=1)),
        cfg=Config(dict(optim_wrapper=dict(accumulative_counts=accumulated))))
    runner.train()
    return torch.load(folder / f'epoch_{epochs}.pth', weights_only=True), runner.model


@pytest.mark.parametrize('accumulated', [1, 4])
def test_the_average_takes_each_update_once(accumulated, tmp_path):
    saved, model = train(tmp_path, accumulated)
    # the average starts from the first of 12 iterations, and takes in an update with the iteration after it
    weights = [number // accumulated for number in range(1, 13)]  # after each iteration
    seen = [index for index in range(12) if index and index % accumulated == 0]
    weight, mean = float(weights[0]), 0.
    for index in seen:
        weight = 0.75 * weight + 0.25 * weights[index]
        mean = 0.75 * mean + 0.25 * index
    assert saved['state_dict']['weight'].item() == pytest.approx(weight)
    assert saved['state_dict']['norm.running_mean'].item() == pytest.approx(mean)
    assert saved['ema_state_dict']['module.weight'].item() == pytest.approx(12 // accumulated)  # what resuming needs
    assert model.weight.item() == pytest.approx(12 // accumulated)


def test_the_average_is_resumed(tmp_path):
    through, _ = train(tmp_path / 'through', 4, epochs=2)
    train(tmp_path / 'resumed', 4)
    resumed, model = train(tmp_path / 'resumed', 4, epochs=2, resume=True)
    assert model.weight.item() == pytest.approx(6)
    for key in ('weight', 'norm.running_mean'):
        assert resumed['state_dict'][key].item() == pytest.approx(through['state_dict'][key].item())


@pytest.mark.parametrize('wrapped', [False, True])
@pytest.mark.parametrize('width,least', [(0.1, 0.2), (1.0, 0.2), (1.25, 0.08), (2.4, 0.08)])
def test_crops_by_size(width, least, wrapped, tmp_path, monkeypatch):
    """Section 5.1: from 20 % below 80 M multiply-adds, from 8 % above; s = 1.0 has 71 M, s = 1.25 98 M."""
    from mmengine.dataset import RepeatDataset
    cfg = Config.fromfile('configs/dicenet_imagenet_e150_b512.py')
    cfg.model.backbone.widen_factor = width
    init_default_scope('mmpretrain')
    dataset = ImageFolderDataset(str(make_folders(tmp_path, dict(cat=1, dog=1))), pipeline=cfg.train_pipeline)

    class Fake:
        pass

    runner = Fake()
    runner.cfg, runner.train_dataloader = cfg, Fake()
    runner.train_dataloader.dataset = RepeatDataset(dataset, 2) if wrapped else dataset
    said = []
    monkeypatch.setattr(crop_scale, 'print_log', lambda message, *_: said.append(message))
    crop_scale.CropScaleHook().before_train(runner)
    assert dataset.pipeline.transforms[1].crop_ratio_range == (least, 1.)
    assert said[0].startswith(f'random crops cover at least {least:.0%} of an image')
