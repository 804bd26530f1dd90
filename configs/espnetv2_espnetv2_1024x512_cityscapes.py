_base_ = './espnetv2_dicenet_1024x512_cityscapes.py'

load_from = 'work_dirs/espnetv2_espnetv2_512x256_cityscapes/epoch_100.pth'
model = dict(backbone=dict(type='ESPNetv2'))
