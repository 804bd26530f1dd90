# ShuffleNetV2's blocks with the unit of choice (Tables I to III). As it stands: the DiCE unit at 122 M multiply-adds.
# Any row of the tables is made of four values; docs/ablation.md has the widths:
#   --cfg-options model.backbone.unit=dwise+SE model.backbone.width=140
#       model.backbone.first=dimfuse model.backbone.expansion=4
_base_ = '../dicenet_imagenet_e150_b512.py'

model = dict(
    backbone=dict(_delete_=True, type='AblationShuffleNetV2', unit='dimconv+dimfuse', width=120),
    neck=dict(type='PooledNeck', dropout=0.1))  # as DiCENet's of this size
