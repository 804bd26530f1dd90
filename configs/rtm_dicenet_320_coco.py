_base_ = [
    '_base_/models/rtm_dicenet.py', '_base_/datasets/coco_detection.py', '_base_/datasets/rtm_320.py',
    '_base_/schedules/rtm.py', '_base_/default_runtime.py'
]
model = dict(backbone=dict(input_size=_base_.size))
train_dataloader = dict(batch_size=32, dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
custom_hooks = [
    *_base_.custom_hooks, _base_.moving_average,
    dict(_base_.without_mosaic, switch_pipeline=_base_.train_pipeline_end)
]
default_hooks = dict(checkpoint=dict(interval=10, save_best='coco/bbox_mAP'))
