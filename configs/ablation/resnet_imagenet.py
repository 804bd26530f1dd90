# ResNet's bottlenecks with the unit of choice (Tables I to III). As it stands: the DiCE unit at 120 M multiply-adds.
_base_ = './shufflenetv2_imagenet.py'

model = dict(backbone=dict(type='AblationResNet', width=104))
