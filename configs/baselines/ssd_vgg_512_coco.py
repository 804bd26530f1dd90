_base_ = [
    '../_base_/models/ssd_vgg_512.py', '../_base_/datasets/coco_detection.py', '../_base_/datasets/ssd_512.py',
    '../_base_/schedules/ssd_512.py', '../_base_/default_runtime.py'
]
load_from = 'work_dirs/ssd_vgg_300_coco/epoch_100.pth'
train_dataloader = dict(batch_size=20, dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
default_hooks = dict(checkpoint=dict(save_best='coco/bbox_mAP'))
