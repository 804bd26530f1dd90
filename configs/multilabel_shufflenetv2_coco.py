# As multilabel_dicenet_coco.py, with mmpretrain's ShuffleNetV2 (Table VII: 300 M multiply-adds, 3.5 M parameters).
_base_ = './multilabel_dicenet_coco.py'

model = dict(
    type='ImageClassifier',
    backbone=dict(_delete_=True, type='ShuffleNetV2', widen_factor=1.5),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(in_channels=1024))  # 2048 with widen_factor=2.0
