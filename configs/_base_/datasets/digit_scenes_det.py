# DigitScenes: 3000 + 150 images of 320x240 px, ten classes, generated on first use (half a minute): see
# dicenet_mm/datasets/digit_scenes.py. Colours are changed in training; the scenes vary enough in all else, and a
# mirrored digit is no digit. The configuration that uses it sets the size.
scenes = dict(train=3000, val=150, size=(320, 240), seed=0)
images = dict(img='VOC2007/JPEGImages/')
resize = dict(type='Resize', scale=(300, 300), keep_ratio=False)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PhotoMetricDistortion'),
    resize,
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    resize,
    dict(type='LoadAnnotations', with_bbox=True),  # the truth that PascalVOCMetric reads, for --data
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    drop_last=True,  # batch normalisation over a level of 1x1 px fails on a last batch of one image
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='DigitScenesDataset', scenes=scenes, ann_file='annotations/instances_train.json',
                 data_prefix=images, pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='DigitScenesDataset', scenes=scenes, ann_file='annotations/instances_val.json',
                 data_prefix=images, test_mode=True, pipeline=test_pipeline))
test_dataloader = val_dataloader
average_precision = dict(type='CocoDetectionMetric')
evaluators = dict(mAP=average_precision, bbox=average_precision)  # AP at IoU .5:.95, and COCO's own name for it
val_evaluator = average_precision
test_evaluator = val_evaluator
