# Units of choice, stacked (Table I). As it stands: DiCE units at 165 M multiply-adds.
_base_ = './shufflenetv2_imagenet.py'

model = dict(backbone=dict(type='AblationMobileNet', width=316))
