# The same images at 1024x512 px.
_base_ = './cityscapes_512x256.py'

size = (1024, 512)
train_pipeline = [
    dict(step, scale=(2 * size[0], 2 * size[1])) if step['type'] == 'RandomResize' else
    dict(step, crop_size=size[::-1]) if step['type'] == 'RandomCrop' else step for step in _base_.train_pipeline]
resize = dict(type='Resize', scale=size, keep_ratio=False, backend='pillow')
test_pipeline = [resize if step['type'] == 'Resize' else step for step in _base_.test_pipeline]
tta_pipeline = [resize if step['type'] == 'Resize' else step for step in _base_.tta_pipeline]
train_dataloader = dict(batch_size=32, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
