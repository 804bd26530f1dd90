# CIFAR-10 at 64 px: 50000 + 10000 images of 32 px, in data/cifar10/cifar-10-batches-py (the Python version of
# https://www.cs.toronto.edu/~kriz/cifar.html). Ours, not the paper's.
_base_ = [
    '_base_/models/dicenet_classifier.py', '_base_/schedules/small_data.py', '_base_/default_runtime.py'
]
image_size = 64  # px: the last map is then 2 x 2
model = dict(backbone=dict(widen_factor=1.0, input_size=image_size), head=dict(num_classes=10))

resize = dict(type='Resize', scale=(image_size, image_size), keep_ratio=False)
train_pipeline = [
    dict(type='RandomCrop', crop_size=32, padding=4),
    resize,
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [resize, dict(type='PackInputs')]
train_dataloader = dict(
    batch_size=128,
    num_workers=2,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='BGRCIFAR10', data_root='data/cifar10', split='train', pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=128,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='BGRCIFAR10', data_root='data/cifar10', split='test', test_mode=True, pipeline=test_pipeline))
test_dataloader = val_dataloader
accuracy = dict(type='TopAccuracy')
evaluators = dict(accuracy=accuracy)
val_evaluator = accuracy
test_evaluator = val_evaluator
auto_scale_lr = dict(enable=False, base_batch_size=128)
default_hooks = dict(checkpoint=dict(save_best='accuracy/top1'))
