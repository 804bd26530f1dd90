_base_ = [
    '_base_/models/dicenet_classifier.py', '_base_/datasets/imagenet.py', '_base_/schedules/imagenet_e150_b512.py',
    '_base_/default_runtime.py'
]
# Random crops cover at least a fifth of the image for models below 80 M multiply-adds, 8 % for larger ones.
custom_hooks = [*_base_.custom_hooks, dict(type='CropScaleHook')]
default_hooks = dict(checkpoint=dict(save_best='accuracy/top1'))
