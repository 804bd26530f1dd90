# SSD as on DiCENet, on ShuffleNetV2 x1.5 (mmpretrain's).
_base_ = '../_base_/ssd_320_coco.py'

model = dict(
    backbone=dict(_delete_=True, type='mmpretrain.ShuffleNetV2', widen_factor=1.5, out_indices=(0, 1, 2)))
