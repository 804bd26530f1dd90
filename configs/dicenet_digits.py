# scikit-learn's handwritten digits at 64 px: 1437 + 360 images of 8 px, nothing to download, minutes on one core.
_base_ = './dicenet_cifar10.py'

model = dict(backbone=dict(widen_factor=0.5))
# No mirror images, which are no digits.
train_pipeline = [
    dict(type='RandomCrop', crop_size=8, padding=1, pad_val=255),
    *[step for step in _base_.train_pipeline[1:] if step['type'] != 'RandomFlip'],
]
train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(_delete_=True, type='DigitsDataset', split='train', pipeline=train_pipeline))
val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(_delete_=True, type='DigitsDataset', split='val', test_mode=True, pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=20, val_interval=2)
auto_scale_lr = dict(base_batch_size=32)
