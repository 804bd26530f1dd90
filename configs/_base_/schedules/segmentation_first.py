# Section 5.3: SGD, 100 epochs of the hybrid schedule, batch 40, ten times the rate on the decoder.
train_cfg = dict(type='ExactEpochLoop', max_epochs=100, val_interval=5)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.009, momentum=0.9, weight_decay=4e-5),
    paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=10.))))
param_scheduler = [dict(type='HybridLR')]  # ends with the training
auto_scale_lr = dict(enable=False, base_batch_size=40)
