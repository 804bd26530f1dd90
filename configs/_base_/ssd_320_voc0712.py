# SSD at 320 px on VOC, for the backbones of configs/baselines/.
_base_ = [
    './models/ssd_320.py', './datasets/voc0712.py', './datasets/ssd_320.py',
    './schedules/ssd_300.py', './default_runtime.py'
]
model = dict(bbox_head=dict(num_classes=20))
train_dataloader = dict(
    dataset=dict(
        datasets=[dict(year, pipeline=_base_.train_pipeline) for year in _base_.train_dataloader.dataset.datasets]))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
