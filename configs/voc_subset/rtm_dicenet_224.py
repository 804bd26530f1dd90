# The first part of the built-in detector's training, at 224 px: the size that the authors' encoder is built for.
#   python tools/convert_edgenets.py dicenet_s_1.0_pascal_256x256.pth work_dirs/dicenet_1.0_voc_256.pth
#   python tools/train.py configs/voc_subset/rtm_dicenet_224.py
_base_ = [
    '../_base_/models/rtm_dicenet.py', '../_base_/datasets/voc0712_part.py', '../_base_/default_runtime.py'
]
size = (224, 224)
model = dict(
    channels=64,
    backbone=dict(
        widen_factor=1.0,
        input_size=size,
        frozen_stages=1,  # stem and stage 1 stay the authors'
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/dicenet_1.0_voc_256.pth', prefix='backbone.')),
    bbox_head=dict(num_classes=20))

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='YOLOXHSVRandomAug'),
    dict(type='RandomResize', scale=size, ratio_range=(0.6, 1.6), keep_ratio=False),
    dict(type='RandomCrop', crop_size=size),
    dict(type='FilterAnnotations', min_gt_bbox_wh=(4, 4)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='Pad', size=size, pad_val=dict(img=(114, 114, 114))),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=size, keep_ratio=False),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
train_dataloader = dict(
    dataset=dict(
        datasets=[dict(year, pipeline=train_pipeline) for year in _base_.train_dataloader.dataset.datasets]))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

train_cfg = dict(type='ExactIterLoop', max_iters=1600, val_interval=600)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0, bias_decay_mult=0, custom_keys={'backbone.stage2': dict(lr_mult=0.5)}),
    clip_grad=dict(max_norm=35))
param_scheduler = [dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=200)]  # flat from then on
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='UpdateEMAHook', ema_type='ExpMomentumEMA', momentum=0.001, gamma=500, update_buffers=True)
]
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=200, max_keep_ckpts=2), logger=dict(log_metric_by_epoch=False))
log_processor = dict(by_epoch=False)
randomness = dict(seed=0)
