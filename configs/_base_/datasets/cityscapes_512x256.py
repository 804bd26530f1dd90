# Cityscapes, finely annotated: 2975 training and 500 validation images of 2048x1024 px, seen at 512x256. The masks of
# training numbers (*_gtFine_labelTrainIds.png) are made by cityscapesScripts' createTrainIdLabelImgs.
size = (512, 256)  # width, height
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadMask'),
    # From the size of the test to four times it. The paper gives no base; this is the ratio that VOC has.
    dict(type='RandomResize', scale=(2 * size[0], 2 * size[1]), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=size[::-1]),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=size, keep_ratio=False, backend='pillow'),
    dict(type='LoadMask'),
    dict(type='PackSegInputs'),
]
tta_pipeline = [  # the image and its mirror image
    *test_pipeline[:2],
    dict(
        type='TestTimeAug',
        transforms=[[dict(type='RandomFlip', prob=0.), dict(type='RandomFlip', prob=1.)],
                    [dict(type='LoadMask')], [dict(type='PackSegInputs')]]),
]
train_dataloader = dict(
    batch_size=40,
    num_workers=4,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='CityscapesSegDataset',
        data_root='data/cityscapes/',
        data_prefix=dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train'),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=4,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CityscapesSegDataset',
        data_root='data/cityscapes/',
        data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
mean_iou = dict(type='MeanIoU')
evaluators = dict(mIoU=mean_iou)
val_evaluator = mean_iou
test_evaluator = val_evaluator
