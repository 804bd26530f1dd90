# For data sets of some ten to some thousand images: a length in steps, of which a few images then make as many as a
# thousand do (with an InfiniteSampler); AdamW, a short warm-up, a cosine. Ours, not the paper's.
_base_ = '../default_runtime.py'  # whose hooks then count steps

train_cfg = dict(type='ExactIterLoop', max_iters=1500, val_interval=300)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=5e-3, weight_decay=1e-2))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=100),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=False),  # ends with the training
]
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=300), logger=dict(log_metric_by_epoch=False))
log_processor = dict(by_epoch=False)
auto_scale_lr = dict(enable=False, base_batch_size=8)
