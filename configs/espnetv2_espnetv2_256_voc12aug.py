_base_ = './espnetv2_dicenet_256_voc12aug.py'

model = dict(backbone=dict(type='ESPNetv2'))
