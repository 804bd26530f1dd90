# For data of one's own, some ten to some thousand images: python tools/train.py THIS --data DIR
# It starts from the built-in detector; --from scratch refuses that.
_base_ = './rtm_dicenet_320_voc0712.py'

load_from = 'rtm-dicenet-1.0-voc-320'
model = dict(channels=64, backbone=dict(widen_factor=1.0))
train_dataloader = dict(
    batch_size=8,
    sampler=dict(type='InfiniteSampler'),
    dataset=dict(
        datasets=[dict(year, pipeline=_base_.train_pipeline_end) for year in _base_.train_dataloader.dataset.datasets]))
train_cfg = dict(_delete_=True, type='ExactIterLoop', max_iters=1000, val_interval=200)
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0, bias_decay_mult=0, bypass_duplicate=True),
    clip_grad=dict(max_norm=35))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=50),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=False),  # ends with the training
]
custom_hooks = [
    *_base_.custom_hooks[:-2],
    dict(type='UpdateEMAHook', ema_type='ExpMomentumEMA', momentum=0.002, gamma=200, update_buffers=True)
]
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=200), logger=dict(log_metric_by_epoch=False))
log_processor = dict(by_epoch=False)
auto_scale_lr = dict(base_batch_size=8)
