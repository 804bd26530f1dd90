# For boxes of one's own, some ten to some thousand images: python tools/train.py THIS --data DIR
# A smaller width and small batches. The rest helps a start from random weights, as in quickstart.py. Ours, not the
# paper's.
_base_ = [
    '_base_/models/ssd_dicenet_300.py', '_base_/datasets/voc0712.py', '_base_/datasets/ssd_300.py',
    '_base_/schedules/small_data_steps.py'
]
model = dict(
    backbone=dict(widen_factor=1.0),
    bbox_head=dict(num_classes=20, init_cfg=dict(type='Normal', layer='Conv2d', std=0.01)),
    train_cfg=dict(assigner=dict(neg_iou_thr=0.4)))
train_dataloader = dict(
    batch_size=8,
    sampler=dict(type='InfiniteSampler'),
    dataset=dict(
        datasets=[dict(year, pipeline=_base_.train_pipeline) for year in _base_.train_dataloader.dataset.datasets]))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
