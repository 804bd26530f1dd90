# SSD as on DiCENet, on MixNet-M (timm's: pip install timm).
_base_ = '../_base_/ssd_320_voc0712.py'

model = dict(
    backbone=dict(
        _delete_=True, type='mmpretrain.TIMMBackbone', model_name='mixnet_m', features_only=True,
        out_indices=(2, 3, 4)))
