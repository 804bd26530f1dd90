# Second stage: larger images, from the weights of the first, with frozen batch normalisation.
_base_ = [
    '_base_/models/espnetv2_segmentor.py', '_base_/datasets/cityscapes_1024x512.py',
    '_base_/schedules/segmentation_second.py', '_base_/default_runtime.py'
]
load_from = 'work_dirs/espnetv2_dicenet_512x256_cityscapes/epoch_100.pth'
model = dict(data_preprocessor=dict(size=(512, 1024)), norm_eval=True, decode_head=dict(num_classes=20))
default_hooks = dict(checkpoint=dict(save_best='mIoU'))
