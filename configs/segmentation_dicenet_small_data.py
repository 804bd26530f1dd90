# For masks of one's own, some ten to some thousand images: python tools/train.py THIS --data DIR
# At 256 px, in small batches; a start from an encoder of the authors (docs/segmentation.md) helps more than length.
_base_ = [
    '_base_/models/espnetv2_segmentor.py', '_base_/datasets/voc12aug_256.py', '_base_/schedules/small_data_steps.py'
]
train_dataloader = dict(batch_size=8, num_workers=2, sampler=dict(type='InfiniteSampler'))
default_hooks = dict(checkpoint=dict(save_best='mIoU'))
