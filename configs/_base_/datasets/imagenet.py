# ImageNet 2012 in class folders: data/imagenet/{train,val}/<synset>/*.JPEG
# Images are resized by Pillow, which smooths before it shrinks, as in the authors' code.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    # crop_ratio_range is set by CropScaleHook
    dict(type='RandomResizedCrop', scale=224, backend='pillow'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=256, edge='short', backend='pillow'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]
tta_pipeline = [  # the image and its mirror image
    *test_pipeline[:3],
    dict(
        type='TestTimeAug',
        transforms=[[dict(type='RandomFlip', prob=0.), dict(type='RandomFlip', prob=1.)], [dict(type='PackInputs')]]),
]

train_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='ImageNetFolders', data_root='data/imagenet/train', pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ImageNetFolders', data_root='data/imagenet/val', test_mode=True, pipeline=test_pipeline))
test_dataloader = val_dataloader
accuracy = dict(type='TopAccuracy')
evaluators = dict(accuracy=accuracy)
val_evaluator = accuracy
test_evaluator = val_evaluator
