# For data of one's own, some ten to some thousand images: python tools/train.py THIS --data DIR
# A smaller width, small batches and a short warm-up, so that few images still make enough steps. Ours, not the paper's.
_base_ = './ssd_dicenet_300_voc0712.py'

model = dict(backbone=dict(widen_factor=1.0))
train_dataloader = dict(batch_size=8)
train_cfg = dict(val_interval=10)
optim_wrapper = dict(
    _delete_=True, type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, weight_decay=1e-2))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=20),
    dict(type='CosineAnnealingLR', eta_min=1e-5),  # ends with the training
]
