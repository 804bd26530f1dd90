# SSD as on DiCENet, on MobileNetV3-Large (mmpretrain's).
_base_ = '../_base_/ssd_320_coco.py'

model = dict(
    backbone=dict(_delete_=True, type='mmpretrain.MobileNetV3', arch='large', out_indices=(6, 12, 16)))
