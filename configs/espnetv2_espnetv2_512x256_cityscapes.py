_base_ = './espnetv2_dicenet_512x256_cityscapes.py'

model = dict(backbone=dict(type='ESPNetv2'))
