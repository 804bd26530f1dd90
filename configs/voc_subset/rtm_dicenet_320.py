# The second part, from the weights of the first: kernels resampled to 320 px, a cosine to the end.
#   python tools/train.py configs/voc_subset/rtm_dicenet_320.py
_base_ = './rtm_dicenet_224.py'

load_from = 'work_dirs/rtm_dicenet_224/iter_2800.pth'
size = (320, 320)
model = dict(backbone=dict(input_size=size, init_cfg=None))
sized = dict(
    RandomResize=dict(type='RandomResize', scale=size, ratio_range=(0.6, 1.6), keep_ratio=False),
    RandomCrop=dict(type='RandomCrop', crop_size=size),
    Pad=dict(type='Pad', size=size, pad_val=dict(img=(114, 114, 114))),
    Resize=dict(type='Resize', scale=size, keep_ratio=False))
train_pipeline = [sized.get(step['type'], step) for step in _base_.train_pipeline]
test_pipeline = [sized.get(step['type'], step) for step in _base_.test_pipeline]
train_dataloader = dict(
    dataset=dict(
        datasets=[dict(year, pipeline=train_pipeline) for year in _base_.train_dataloader.dataset.datasets]))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

train_cfg = dict(max_iters=1600, val_interval=400)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=50),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=False, begin=50),  # ends with the training
]
