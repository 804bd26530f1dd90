# The same images at 384 px.
_base_ = './voc12aug_256.py'

size = (384, 384)
train_pipeline = [
    dict(step, crop_size=size[::-1]) if step['type'] == 'RandomCrop' else step for step in _base_.train_pipeline]
resize = dict(type='Resize', scale=size, keep_ratio=False, backend='pillow')
test_pipeline = [resize if step['type'] == 'Resize' else step for step in _base_.test_pipeline]
tta_pipeline = [resize if step['type'] == 'Resize' else step for step in _base_.tta_pipeline]
train_dataloader = dict(batch_size=32, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
