# E150-B512 (Table IV): SGD, 150 epochs of the hybrid schedule, batch 512 = 128 images x 4 accumulated steps on one
# process. On 4 processes, as in the paper: --cfg-options optim_wrapper.accumulative_counts=1
train_cfg = dict(type='ExactEpochLoop', max_epochs=150, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=4e-5),
    accumulative_counts=4)
param_scheduler = [dict(type='HybridLR')]  # ends with the training
auto_scale_lr = dict(enable=False, base_batch_size=512)
