# The last part, at 320 px: kernels resampled to it, a cosine to the end.
#   python tools/train.py configs/voc_subset/rtm_dicenet_320.py
_base_ = './rtm_dicenet_224.py'

load_from = 'work_dirs/rtm_dicenet_224_faster/iter_1400.pth'
size = (320, 320)
model = dict(backbone=dict(input_size=size, init_cfg=None))
sized = dict(
    RandomResize=dict(type='RandomResize', scale=size, ratio_range=(0.6, 1.6), keep_ratio=False),
    RandomCrop=dict(type='RandomCrop', crop_size=size),
    Pad=dict(type='Pad', size=size, pad_val=dict(img=(114, 114, 114))),
    Resize=dict(type='Resize', scale=size, keep_ratio=False))
train_pipeline = [sized.get(step['type'], step) for step in _base_.train_pipeline]
test_pipeline = [sized.get(step['type'], step) for step in _base_.test_pipeline]
train_dataloader = dict(
    dataset=dict(
        datasets=[dict(year, pipeline=train_pipeline) for year in _base_.train_dataloader.dataset.datasets]))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

train_cfg = dict(max_iters=1200, val_interval=300)
optim_wrapper = dict(
    optimizer=dict(lr=2e-3), paramwise_cfg=dict(custom_keys={'backbone.stage2': dict(lr_mult=0.25)}))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=50),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=False, begin=50),  # ends with the training
]
custom_hooks = [
    *_base_.custom_hooks[:-1],
    dict(type='UpdateEMAHook', ema_type='ExpMomentumEMA', momentum=0.004, gamma=100, update_buffers=True)
]
