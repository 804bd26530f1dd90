_base_ = [
    '_base_/models/espnetv2_segmentor.py', '_base_/datasets/cityscapes_512x256.py',
    '_base_/schedules/segmentation_first.py', '_base_/default_runtime.py'
]
model = dict(
    data_preprocessor=dict(size=(256, 512)),
    decode_head=dict(num_classes=20))  # 19, and one for the rest, which is never the truth: as the authors' files have
default_hooks = dict(checkpoint=dict(save_best='mIoU'))
