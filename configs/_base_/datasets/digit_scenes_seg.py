# DigitScenes' masks: 3000 + 150 images of 320x240 px, ten digits and the background, generated on first use: see
# dicenet_mm/datasets/digit_scenes.py. Colours are changed in training; a mirrored digit is no digit.
scenes = dict(train=3000, val=150, size=(320, 240), seed=0)
resize = dict(type='Resize', scale=(160, 120), keep_ratio=False)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadMask'),
    dict(type='PhotoMetricDistortion'),
    resize,
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    resize,
    dict(type='LoadMask'),
    dict(type='PackSegInputs'),
]
digits = dict(type='DigitScenesSegDataset', scenes=scenes,
              data_prefix=dict(img_path='VOC2007/JPEGImages', seg_map_path='VOC2007/SegmentationClass'))
train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(**digits, ann_file='VOC2007/ImageSets/Segmentation/train.txt', pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**digits, ann_file='VOC2007/ImageSets/Segmentation/val.txt', test_mode=True, pipeline=test_pipeline))
test_dataloader = val_dataloader
mean_iou = dict(type='MeanIoU')
evaluators = dict(mIoU=mean_iou)
val_evaluator = mean_iou
test_evaluator = val_evaluator
