_base_ = './espnetv2_dicenet_384_voc12aug.py'

load_from = 'work_dirs/espnetv2_espnetv2_256_voc12aug/epoch_100.pth'
model = dict(backbone=dict(type='ESPNetv2'))
