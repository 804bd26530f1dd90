# For class folders of one's own, some ten to some thousand images: python tools/train.py THIS --data DIR
_base_ = [
    '_base_/models/dicenet_classifier.py', '_base_/datasets/imagenet.py', '_base_/schedules/small_data.py',
    '_base_/default_runtime.py'
]
model = dict(backbone=dict(widen_factor=1.0))
# Crops of at least half of the image: with few images, what is left out of a crop is missed.
train_pipeline = [
    dict(step, crop_ratio_range=(0.5, 1.)) if step['type'] == 'RandomResizedCrop' else step
    for step in _base_.train_pipeline
]
train_dataloader = dict(batch_size=16, num_workers=2, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=16, num_workers=2)
test_dataloader = val_dataloader
auto_scale_lr = dict(enable=False, base_batch_size=16)
default_hooks = dict(checkpoint=dict(save_best='accuracy/top1'))
