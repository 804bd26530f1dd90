# Segmentation on built-in data, to see it work without any download. Ours, not the paper's. It soon finds the digits,
# and hardly tells them apart: mIoU 12 on unseen scenes, 98 for the background.
_base_ = [
    '_base_/models/espnetv2_segmentor.py', '_base_/datasets/digit_scenes_seg.py', '_base_/default_runtime.py'
]
model = dict(
    data_preprocessor=dict(size=(120, 160)), backbone=dict(widen_factor=0.5), decode_head=dict(num_classes=11))
train_cfg = dict(type='ExactEpochLoop', max_epochs=8, val_interval=2)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-2, weight_decay=1e-2))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=100),
    dict(type='CosineAnnealingLR', eta_min=1e-5, convert_to_iter_based=True),  # ends with the training
]
auto_scale_lr = dict(enable=False, base_batch_size=16)
default_hooks = dict(checkpoint=dict(max_keep_ckpts=1, save_best='mIoU'))
