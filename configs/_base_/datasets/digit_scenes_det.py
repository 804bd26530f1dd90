# DigitScenes: 600 + 150 images of 320x240 px, ten classes, generated on first use: see
# dicenet_mm/datasets/digit_scenes.py. The augmentation is SSD's without its flip, since a mirrored digit is
# no digit; expansion stops at 2 instead of 4, since the smallest digits are 48 px tall as they are.
input_size = 300
dataset_type = 'DigitScenesDataset'
scenes = dict(train=600, val=150, size=(320, 240), seed=0)
images = dict(img='VOC2007/JPEGImages/')

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PhotoMetricDistortion'),
    dict(type='Expand', mean=[123.675, 116.28, 103.53], to_rgb=True, ratio_range=(1, 2)),
    dict(type='MinIoURandomCrop', min_ious=(0.1, 0.3, 0.5, 0.7, 0.9), min_crop_size=0.3),
    dict(type='Resize', scale=(input_size, input_size), keep_ratio=False),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(input_size, input_size), keep_ratio=False),
    dict(type='LoadAnnotations', with_bbox=True),  # the truth that PascalVOCMetric reads, for --data
    # 'instances' is the truth that CocoMetric reads where it is given no annotation file.
    dict(type='PackDetInputs',
         meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'instances')),
]

train_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    drop_last=True,  # batch normalisation over the 1x1 level fails on a last batch of one image
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type=dataset_type, scenes=scenes, ann_file='annotations/instances_train.json',
                 data_prefix=images, pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type=dataset_type, scenes=scenes, ann_file='annotations/instances_val.json',
                 data_prefix=images, test_mode=True, pipeline=test_pipeline))
test_dataloader = val_dataloader
