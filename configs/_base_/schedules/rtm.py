# RTMDet's flat-cosine AdamW and its moving average: 300 epochs, batch 256 = 32 images x 8 accumulated steps on one
# process, the last 20 epochs without mosaic and mix-up.
train_cfg = dict(type='ExactEpochLoop', max_epochs=300, val_interval=10)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=4e-3, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0, bias_decay_mult=0, bypass_duplicate=True),
    accumulative_counts=8)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=1000),
    dict(type='CosineAnnealingLR', eta_min=2e-4, begin=150, convert_to_iter_based=True),  # ends with the training
]
auto_scale_lr = dict(enable=False, base_batch_size=256)
moving_average = dict(type='UpdateEMAHook', ema_type='ExpMomentumEMA', momentum=0.0002, update_buffers=True)
without_mosaic = dict(type='InnerPipelineSwitchHook', switch_epoch=280)
