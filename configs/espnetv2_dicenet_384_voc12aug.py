# Second stage: larger images, from the weights of the first, with frozen batch normalisation.
_base_ = [
    '_base_/models/espnetv2_segmentor.py', '_base_/datasets/voc12aug_384.py', '_base_/schedules/segmentation_second.py',
    '_base_/default_runtime.py'
]
load_from = 'work_dirs/espnetv2_dicenet_256_voc12aug/epoch_100.pth'
model = dict(data_preprocessor=dict(size=(384, 384)), norm_eval=True)
default_hooks = dict(checkpoint=dict(save_best='mIoU'))
