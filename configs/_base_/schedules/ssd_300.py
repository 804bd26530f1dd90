# Section 5.2: SGD, 100 epochs of the hybrid schedule, batch 192 = 24 images x 8 accumulated steps on one process.
train_cfg = dict(type='ExactEpochLoop', max_epochs=100, val_interval=5)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=5e-4),
    accumulative_counts=8)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='HybridLR'),  # ends with the training
]
auto_scale_lr = dict(enable=False, base_batch_size=192)
