# SSD as on DiCENet, on MobileNetV2 (mmpretrain's).
_base_ = '../_base_/ssd_320_coco.py'

model = dict(
    backbone=dict(_delete_=True, type='mmpretrain.MobileNetV2', out_indices=(2, 4, 7)))
