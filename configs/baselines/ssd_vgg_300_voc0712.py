_base_ = [
    '../_base_/models/ssd_vgg_300.py', '../_base_/datasets/voc0712.py', '../_base_/datasets/ssd_300.py',
    '../_base_/schedules/ssd_300.py', '../_base_/default_runtime.py'
]
model = dict(
    bbox_head=dict(num_classes=20, anchor_generator=dict(basesize_ratio_range=(0.2, 0.9))))
train_dataloader = dict(
    dataset=dict(
        datasets=[dict(year, pipeline=_base_.train_pipeline) for year in _base_.train_dataloader.dataset.datasets]))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
