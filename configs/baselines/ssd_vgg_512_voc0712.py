_base_ = [
    '../_base_/models/ssd_vgg_512.py', '../_base_/datasets/voc0712.py', '../_base_/datasets/ssd_512.py',
    '../_base_/schedules/ssd_512.py', '../_base_/default_runtime.py'
]
load_from = 'work_dirs/ssd_vgg_300_voc0712/epoch_100.pth'
model = dict(
    bbox_head=dict(num_classes=20, anchor_generator=dict(basesize_ratio_range=(0.15, 0.9))))
train_dataloader = dict(
    batch_size=20,
    dataset=dict(
        datasets=[dict(year, pipeline=_base_.train_pipeline) for year in _base_.train_dataloader.dataset.datasets]))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
