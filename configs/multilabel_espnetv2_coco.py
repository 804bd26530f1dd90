# As multilabel_dicenet_coco.py, with ESPNetv2 (Table VII: 284 M multiply-adds, 3.5 M parameters).
_base_ = './multilabel_dicenet_coco.py'

model = dict(
    backbone=dict(_delete_=True, type='ESPNetv2', widen_factor=2.0, out_indices=(5, )),
    neck=dict(type='PooledNeck', dropout=0.2))
