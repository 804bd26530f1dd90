# PASCAL VOC 2012 with the extra masks of SBD (10582 training images, ImageSets/Segmentation/train_aug.txt), at 256 px.
size = (256, 256)  # width, height
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadMask'),
    # VOC's images have a long side of 500 px: half to twice their own size
    dict(type='RandomResize', scale=(500, 500), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=size[::-1]),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    # Pillow smooths as it shrinks, which OpenCV does not: 3 points of mIoU at 256 px
    dict(type='Resize', scale=size, keep_ratio=False, backend='pillow'),
    dict(type='LoadMask'),  # after the resizing: the metric compares with the mask as the file has it
    dict(type='PackSegInputs'),
]
tta_pipeline = [  # the image and its mirror image
    *test_pipeline[:2],
    dict(
        type='TestTimeAug',
        transforms=[[dict(type='RandomFlip', prob=0.), dict(type='RandomFlip', prob=1.)],
                    [dict(type='LoadMask')], [dict(type='PackSegInputs')]]),
]
voc = dict(type='VOCSegDataset', data_root='data/VOCdevkit/VOC2012/',
           data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClassAug'))
train_dataloader = dict(
    batch_size=40,
    num_workers=4,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(**voc, ann_file='ImageSets/Segmentation/train_aug.txt', pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=8,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**voc, ann_file='ImageSets/Segmentation/val.txt', test_mode=True, pipeline=test_pipeline))
test_dataloader = val_dataloader
mean_iou = dict(type='MeanIoU')
evaluators = dict(mIoU=mean_iou)
val_evaluator = mean_iou
test_evaluator = val_evaluator
