# RTMDet's augmentation at 320 px: cached mosaic and mix-up, without them at the end (train_pipeline_end). Tested on
# the whole image, its sides brought to 320 px.
size = (320, 320)
pad = dict(type='Pad', size=size, pad_val=dict(img=(114, 114, 114)))
load = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True)]
colour_and_flip = [dict(type='YOLOXHSVRandomAug'), dict(type='RandomFlip', prob=0.5)]
train_pipeline = [
    *load,
    dict(type='CachedMosaic', img_scale=size, pad_val=114.0),
    dict(type='RandomResize', scale=(640, 640), ratio_range=(0.5, 2.0), keep_ratio=True),  # a mosaic has twice the side
    dict(type='RandomCrop', crop_size=size),
    *colour_and_flip,
    pad,
    dict(type='CachedMixUp', img_scale=size, ratio_range=(1.0, 1.0), max_cached_images=20, pad_val=(114, 114, 114)),
    dict(type='FilterAnnotations', min_gt_bbox_wh=(2, 2)),
    dict(type='PackDetInputs'),
]
train_pipeline_end = [
    *load,
    dict(type='RandomResize', scale=size, ratio_range=(0.6, 1.6), keep_ratio=False),
    dict(type='RandomCrop', crop_size=size),
    *colour_and_flip,
    pad,
    dict(type='FilterAnnotations', min_gt_bbox_wh=(2, 2)),
    dict(type='PackDetInputs'),
]
resize = dict(type='Resize', scale=size, keep_ratio=False)
test_pipeline = [
    load[0],
    resize,
    # after the resizing: the metrics compare with the boxes as the file has them
    load[1],
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
tta_pipeline = [  # the image and its mirror image
    load[0],
    resize,
    dict(
        type='TestTimeAug',
        transforms=[[dict(type='RandomFlip', prob=0.), dict(type='RandomFlip', prob=1.)],
                    [load[1]],
                    [dict(
                        type='PackDetInputs',
                        meta_keys=(*test_pipeline[-1]['meta_keys'], 'flip', 'flip_direction'))]]),
]
