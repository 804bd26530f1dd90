# For data of one's own, some ten to some thousand images: python tools/train.py THIS --data DIR
# A smaller width, small batches, and a length in steps, of which a few images then make as many as a thousand do. The
# rest helps a start from random weights, as in quickstart.py. Ours, not the paper's.
_base_ = './ssd_dicenet_300_voc0712.py'

model = dict(
    backbone=dict(widen_factor=1.0),
    bbox_head=dict(init_cfg=dict(type='Normal', layer='Conv2d', std=0.01)),
    train_cfg=dict(assigner=dict(neg_iou_thr=0.4)))
train_dataloader = dict(batch_size=8, sampler=dict(type='InfiniteSampler'))
train_cfg = dict(_delete_=True, type='ExactIterLoop', max_iters=1500, val_interval=300)
optim_wrapper = dict(
    _delete_=True, type='OptimWrapper', optimizer=dict(type='AdamW', lr=5e-3, weight_decay=1e-2))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=100),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=False),  # ends with the training
]
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=300), logger=dict(log_metric_by_epoch=False))
log_processor = dict(by_epoch=False)
