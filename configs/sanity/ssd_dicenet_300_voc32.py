# Does the loop learn? Overfits 32 images of VOC2007 from an encoder of the authors and evaluates on the same images:
#   python tools/convert_edgenets.py dicenet_s_1.0_pascal_256x256.pth work_dirs/dicenet_1.0.pth
#   python tools/train.py configs/sanity/ssd_dicenet_300_voc32.py
_base_ = '../ssd_dicenet_300_voc0712.py'

model = dict(
    backbone=dict(
        widen_factor=1.0,
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/dicenet_1.0.pth', prefix='backbone.')))
images = dict(
    type='CheckedVOCDataset',
    data_root='data/VOCdevkit/',
    ann_file='VOC2007/ImageSets/Main/trainval.txt',
    data_prefix=dict(sub_data_root='VOC2007/'),
    indices=32)
train_dataloader = dict(
    batch_size=16,
    dataset=dict(
        _delete_=True,
        type='RepeatDataset',
        times=10,
        dataset=dict(
            **images,
            pipeline=[  # nothing that changes an image, but for its mirror image
                dict(type='LoadImageFromFile'),
                dict(type='LoadAnnotations', with_bbox=True),
                dict(type='Resize', scale=(300, 300), keep_ratio=False),
                dict(type='RandomFlip', prob=0.5),
                dict(type='PackDetInputs'),
            ])))
val_dataloader = dict(dataset=dict(_delete_=True, **images, test_mode=True, pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=15, val_interval=1)  # 300 steps
optim_wrapper = dict(
    _delete_=True, type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, weight_decay=1e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=20),
    dict(type='CosineAnnealingLR', T_max=15, eta_min=1e-5),
]
auto_scale_lr = dict(base_batch_size=16)
