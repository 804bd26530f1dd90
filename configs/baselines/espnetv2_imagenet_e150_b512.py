# As dicenet_imagenet_e150_b512.py, with ESPNetv2: its widths are 0.5, 1.0, 1.25, 1.5 and 2.0.
_base_ = '../dicenet_imagenet_e150_b512.py'

model = dict(
    backbone=dict(_delete_=True, type='ESPNetv2', widen_factor=2.0, out_indices=(5, )),
    neck=dict(type='PooledNeck', dropout=0.2))
