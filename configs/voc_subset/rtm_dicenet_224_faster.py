# The second part: three times the rate for what starts fresh.
#   python tools/train.py configs/voc_subset/rtm_dicenet_224_faster.py
_base_ = './rtm_dicenet_224.py'

load_from = 'work_dirs/rtm_dicenet_224/iter_1600.pth'
model = dict(backbone=dict(init_cfg=None))
train_cfg = dict(max_iters=1400, val_interval=400)
optim_wrapper = dict(
    optimizer=dict(lr=3e-3), paramwise_cfg=dict(custom_keys={'backbone.stage2': dict(lr_mult=0.25)}))
param_scheduler = [dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=50)]
