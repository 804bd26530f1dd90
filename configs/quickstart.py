# A small DiCENet-SSD on the built-in DigitScenes: minutes on two cores, nothing to download. `make quickstart` runs it.
_base_ = ['_base_/models/ssd_dicenet_300.py', '_base_/datasets/digit_scenes_det.py', '_base_/default_runtime.py']

image_size = 160
box_sides = [image_size * (0.1 + 0.95 * level / 6) for level in range(7)]
model = dict(
    backbone=dict(widen_factor=0.5, input_size=image_size),
    neck=dict(out_channels=(128, 64, 64), level_paddings=(1, 1, 1)),  # maps of 20 10 5 3 2 1
    bbox_head=dict(
        num_classes=10,
        init_cfg=dict(type='Normal', layer='Conv2d', std=0.01),  # small scores at first
        anchor_generator=dict(
            strides=[8, 16, 32, 53, 80, 160], min_sizes=box_sides[:-1], max_sizes=box_sides[1:])),
    train_cfg=dict(assigner=dict(neg_iou_thr=0.4)))  # what nearly fits an object is no hard negative

resize = dict(type='Resize', scale=(image_size, image_size), keep_ratio=False)
train_pipeline = [resize if step['type'] == 'Resize' else step for step in _base_.train_pipeline]
test_pipeline = [resize if step['type'] == 'Resize' else step for step in _base_.test_pipeline]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

train_cfg = dict(type='ExactEpochLoop', max_epochs=12, val_interval=4)  # 12 x 187 steps
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
# At 4e-3 the network still gives little more than the frequencies of the classes after 400 steps.
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-2, weight_decay=1e-2))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=100),
    dict(type='CosineAnnealingLR', eta_min=1e-5, convert_to_iter_based=True),
]
auto_scale_lr = dict(enable=False, base_batch_size=16)
randomness = dict(seed=0)  # the same weights and batches every time: README.md says what comes of them
default_hooks = dict(checkpoint=dict(max_keep_ckpts=1, save_best='coco/bbox_mAP_50'))
