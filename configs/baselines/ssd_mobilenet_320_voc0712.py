# SSD as on DiCENet, on MobileNet (timm's: pip install timm).
_base_ = '../_base_/ssd_320_voc0712.py'

model = dict(
    backbone=dict(
        _delete_=True, type='mmpretrain.TIMMBackbone', model_name='mobilenetv1_100', features_only=True,
        out_indices=(2, 3, 4)))
