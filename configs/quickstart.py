# A small DiCENet-SSD on the built-in DigitScenes: minutes on two cores, nothing to download. `make quickstart` runs it.
_base_ = ['_base_/models/ssd_dicenet_300.py', '_base_/datasets/digit_scenes_det.py', '_base_/default_runtime.py']

image_size = 160
box_sides = [image_size * (0.1 + 0.95 * level / 6) for level in range(7)]
model = dict(
    backbone=dict(widen_factor=0.5, input_size=image_size),
    neck=dict(out_channels=(128, 64, 64), level_paddings=(1, 1, 1)),  # maps of 20 10 5 3 2 1
    bbox_head=dict(
        num_classes=10,
        anchor_generator=dict(
            strides=[8, 16, 32, 53, 80, 160], min_sizes=box_sides[:-1], max_sizes=box_sides[1:])))

resize = dict(type='Resize', scale=(image_size, image_size), keep_ratio=False)
train_pipeline = [  # no augmentation: the scenes vary enough for a training this short
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    resize,
    dict(type='PackDetInputs'),
]
test_pipeline = [resize if step['type'] == 'Resize' else step for step in _base_.test_pipeline]
train_dataloader = dict(num_workers=1, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
average_precision = dict(type='CocoMetric', metric='bbox', classwise=True)
evaluators = dict(mAP=average_precision, bbox=average_precision)
val_evaluator = average_precision
test_evaluator = val_evaluator

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=60, val_interval=10)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=2e-3, weight_decay=1e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=37),  # one epoch
    dict(type='CosineAnnealingLR', eta_min=2e-5),
]
default_hooks = dict(checkpoint=dict(max_keep_ckpts=1, save_best='coco/bbox_mAP_50'))
