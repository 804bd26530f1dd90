# Another round at 320 px from where the last part was stopped: the rate starts anew and its cosine runs to the end.
#   python tools/train.py configs/voc_subset/rtm_dicenet_320_longer.py
_base_ = './rtm_dicenet_320.py'

load_from = 'work_dirs/rtm_dicenet_320/iter_900.pth'
train_cfg = dict(max_iters=6000, val_interval=1000)
custom_hooks = [
    *_base_.custom_hooks[:-1],
    dict(type='UpdateEMAHook', ema_type='ExpMomentumEMA', momentum=0.002, gamma=200, update_buffers=True)
]
