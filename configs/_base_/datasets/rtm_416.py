_base_ = './rtm_320.py'

size = (416, 416)
pad = dict(type='Pad', size=size, pad_val=dict(img=(114, 114, 114)))
resize = dict(type='Resize', scale=size, keep_ratio=False)
sized = dict(
    CachedMosaic=dict(type='CachedMosaic', img_scale=size, pad_val=114.0),
    RandomCrop=dict(type='RandomCrop', crop_size=size),
    Pad=pad,
    CachedMixUp=dict(
        type='CachedMixUp', img_scale=size, ratio_range=(1.0, 1.0), max_cached_images=20, pad_val=(114, 114, 114)),
    Resize=resize)
train_pipeline = [sized.get(step['type'], step) for step in _base_.train_pipeline]
train_pipeline[3] = dict(type='RandomResize', scale=(832, 832), ratio_range=(0.5, 2.0), keep_ratio=True)
train_pipeline_end = [sized.get(step['type'], step) for step in _base_.train_pipeline_end]
train_pipeline_end[2] = dict(type='RandomResize', scale=size, ratio_range=(0.6, 1.6), keep_ratio=False)
test_pipeline = [sized.get(step['type'], step) for step in _base_.test_pipeline]
tta_pipeline = [sized.get(step['type'], step) for step in _base_.tta_pipeline]
