"""The batches of a loader from any place on are those of one that was never stopped, also where samples are made of
earlier ones."""
import pytest
import torch
from mmcv.transforms import LoadImageFromFile
from mmdet.datasets.transforms import CachedMixUp, CachedMosaic, LoadAnnotations, PackDetInputs, RandomCrop
from mmengine.dataset import DefaultSampler, pseudo_collate
from torch.utils.data import DataLoader

from dicenet_mm.datasets import CheckedCocoDataset
from dicenet_mm.engine import seeded_data
from dicenet_mm.engine.seeded_data import PlacedLoader, kept_samples
from tests.data import make_coco

SIZE = (48, 48)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp('coco')
    make_coco(folder, dict(train=30))
    (folder / f'train/{3:012d}.jpg').write_bytes(b'no image')  # another takes its place
    return folder


def loader(data, workers, seed=5):
    """Mosaics of the last few images, and mixtures of the last few mosaics; both drop one at random when full."""
    dataset = CheckedCocoDataset(
        data_root=str(data), ann_file='annotations/instances_train.json', data_prefix=dict(img='train/'),
        metainfo=dict(classes=('person', 'car')), pipeline=[
            LoadImageFromFile(), LoadAnnotations(with_bbox=True), CachedMosaic(img_scale=SIZE, max_cached_images=6),
            RandomCrop(SIZE, allow_negative_crop=True), CachedMixUp(SIZE, max_cached_images=4), PackDetInputs()])
    inner = DataLoader(dataset, batch_size=2, num_workers=workers, persistent_workers=workers > 0, prefetch_factor=None
                       if not workers else 2, collate_fn=pseudo_collate, sampler=DefaultSampler(dataset, True, seed),
                       timeout=120 if workers else 0)
    return PlacedLoader(inner, seed)


def batches(made, epoch, first=0):
    made.start(5, epoch, first)
    return [(torch.stack([image.float().mean() for image in batch['inputs']]), *batch['inputs'], *(
        sample.gt_instances.bboxes.tensor for sample in batch['data_samples'])) for batch in made]


def same(left, right):
    return len(left) == len(right) and all(
        len(a) == len(b) and all(map(torch.equal, a, b)) for a, b in zip(left, right))


@pytest.mark.parametrize('workers', [0, 2])
def test_any_place_can_be_entered(workers, data, monkeypatch):
    monkeypatch.setattr(seeded_data, 'KEPT', 8)
    made = loader(data, workers)
    assert made.turn == 4 * max(workers, 1) and len(kept_samples(made.dataset)) == 2
    whole = {epoch: batches(made, epoch) for epoch in (0, 1)}
    assert len(whole[0]) == 15 and not same(whole[0], whole[1])
    assert same(batches(made, 0), whole[0])  # what the epoch before has left is not used
    for epoch, first in ((0, 1), (0, 7), (1, 8), (1, 14)) if not workers else ((0, 7), (1, 11)):
        assert same(batches(loader(data, workers), epoch, first), whole[epoch][first:])
        assert same(batches(made, epoch, first), whole[epoch][first:])


def test_without_making_earlier_samples_again_others_come_out(data, monkeypatch):
    """Or the comparison above would show nothing."""
    whole = batches(loader(data, 0), 0)
    monkeypatch.setattr(seeded_data, 'kept_samples', lambda dataset: [])
    assert not same(batches(loader(data, 0), 0, 7), whole[7:])
