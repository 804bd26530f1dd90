_base_ = [
    '../_base_/models/ssd_vgg_300.py', '../_base_/datasets/coco_detection.py', '../_base_/datasets/ssd_300.py',
    '../_base_/schedules/ssd_300.py', '../_base_/default_runtime.py'
]
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
default_hooks = dict(checkpoint=dict(save_best='coco/bbox_mAP'))
