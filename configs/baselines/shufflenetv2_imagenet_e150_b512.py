# As dicenet_imagenet_e150_b512.py, with mmpretrain's ShuffleNetV2: its widths are 0.5, 1.0, 1.5 and 2.0.
_base_ = '../dicenet_imagenet_e150_b512.py'

model = dict(
    type='ImageClassifier',
    backbone=dict(_delete_=True, type='ShuffleNetV2', widen_factor=1.5),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(in_channels=1024))  # 2048 with widen_factor=2.0
