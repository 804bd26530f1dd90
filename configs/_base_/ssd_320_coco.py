# SSD at 320 px on COCO, for the backbones of configs/baselines/.
_base_ = [
    './models/ssd_320.py', './datasets/coco_detection.py', './datasets/ssd_320.py',
    './schedules/ssd_300.py', './default_runtime.py'
]
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
default_hooks = dict(checkpoint=dict(save_best='coco/bbox_mAP'))
