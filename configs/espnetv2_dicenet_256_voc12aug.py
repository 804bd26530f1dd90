_base_ = [
    '_base_/models/espnetv2_segmentor.py', '_base_/datasets/voc12aug_256.py', '_base_/schedules/segmentation_first.py',
    '_base_/default_runtime.py'
]
default_hooks = dict(checkpoint=dict(save_best='mIoU'))
