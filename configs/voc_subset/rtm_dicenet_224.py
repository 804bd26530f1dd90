# The first part of the built-in detector's training, at 224 px: the size of the encoder's height and width kernels.
#   python tools/convert_edgenets.py dicenet_s_1.0_pascal_256x256.pth work_dirs/dicenet_1.0_voc_256.pth
#   python tools/train.py configs/voc_subset/rtm_dicenet_224.py
_base_ = ['../_base_/models/rtm_dicenet.py', '../_base_/default_runtime.py', './_data.py']

image_size = 224
model = dict(
    channels=64,
    backbone=dict(
        widen_factor=1.0,
        input_size=image_size,
        frozen_stages=1,  # stem and stage 1 stay the authors'
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/dicenet_1.0_voc_256.pth', prefix='backbone.')),
    bbox_head=dict(num_classes=20))

scale = (image_size, image_size)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='YOLOXHSVRandomAug'),
    dict(type='RandomResize', scale=scale, ratio_range=(0.6, 1.6), keep_ratio=False),
    dict(type='RandomCrop', crop_size=scale),
    dict(type='FilterAnnotations', min_gt_bbox_wh=(4, 4)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='Pad', size=scale, pad_val=dict(img=(114, 114, 114))),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=scale, keep_ratio=False),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler'),
    dataset=dict(
        type='ConcatDataset',
        ignore_keys=['dataset_type'],
        datasets=[
            dict(_base_.voc2007, indices=_base_.trained_on, pipeline=train_pipeline),
            dict(_base_.voc2012, pipeline=train_pipeline)
        ]))
val_dataloader = dict(
    batch_size=8,
    num_workers=1,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(_base_.voc2007, indices=_base_.kept, test_mode=True, pipeline=test_pipeline))
test_dataloader = dict(
    batch_size=8,
    num_workers=1,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        _base_.voc2007, ann_file='VOC2007/ImageSets/Main/test.txt', test_mode=True, pipeline=test_pipeline))
val_evaluator = dict(type='PascalVOCMetric')
test_evaluator = val_evaluator
evaluators = dict(mAP=val_evaluator)

max_iters = 4800
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=600)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0, bias_decay_mult=0, custom_keys={'backbone.stage2': dict(lr_mult=0.5)}),
    clip_grad=dict(max_norm=35))
param_scheduler = [dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=200)]
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='UpdateEMAHook', ema_type='ExpMomentumEMA', momentum=0.001, gamma=500, update_buffers=True)
]
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=200, max_keep_ckpts=2),
                     logger=dict(log_metric_by_epoch=False, interval=50))
log_processor = dict(by_epoch=False)
randomness = dict(seed=0)
