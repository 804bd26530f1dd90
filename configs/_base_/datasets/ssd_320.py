_base_ = './ssd_300.py'

resize = dict(type='Resize', scale=(320, 320), keep_ratio=False)
train_pipeline = [resize if step['type'] == 'Resize' else step for step in _base_.train_pipeline]
test_pipeline = [resize if step['type'] == 'Resize' else step for step in _base_.test_pipeline]
tta_pipeline = [resize if step['type'] == 'Resize' else step for step in _base_.tta_pipeline]
