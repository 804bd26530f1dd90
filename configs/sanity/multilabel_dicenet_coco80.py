# Does the loop learn? Few images of COCO (made for 80 + 60) on a frozen encoder of the authors, without its last stage:
# their segmentation checkpoints have none.
#   python tools/convert_edgenets.py dicenet_s_1.75_pascal_384x384.pth work_dirs/dicenet_1.75.pth
#   python tools/train.py configs/sanity/multilabel_dicenet_coco80.py
_base_ = '../multilabel_dicenet_coco.py'

model = dict(
    backbone=dict(
        widen_factor=1.75,
        out_indices=(3, ),
        frozen_stages=2,
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/dicenet_1.75.pth', prefix='backbone.')))
train_dataloader = dict(
    batch_size=16, num_workers=0, persistent_workers=False, dataset=dict(pipeline=_base_.test_pipeline))
val_dataloader = dict(batch_size=20, num_workers=0, persistent_workers=False)
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=40, val_interval=10)
optim_wrapper = dict(_delete_=True, type='OptimWrapper', optimizer=dict(type='AdamW', lr=2e-2, weight_decay=0.05))
param_scheduler = [dict(type='CosineAnnealingLR', eta_min=1e-5)]
auto_scale_lr = dict(base_batch_size=16)
