# PASCAL VOC: trained on 2007 + 2012 trainval, tested on 2007 test. The configuration that uses it sets the pipelines.
train_dataloader = dict(
    batch_size=24,
    num_workers=2,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='ConcatDataset',
        ignore_keys=['dataset_type'],  # the one entry of the meta information that tells the years apart
        datasets=[
            dict(
                type='CheckedVOCDataset',
                data_root='data/VOCdevkit/',
                ann_file=f'VOC{year}/ImageSets/Main/trainval.txt',
                data_prefix=dict(sub_data_root=f'VOC{year}/'),
                filter_cfg=dict(filter_empty_gt=True, min_size=32)) for year in (2007, 2012)
        ]))
val_dataloader = dict(
    batch_size=8,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CheckedVOCDataset',
        data_root='data/VOCdevkit/',
        ann_file='VOC2007/ImageSets/Main/test.txt',
        data_prefix=dict(sub_data_root='VOC2007/'),
        test_mode=True))
test_dataloader = val_dataloader
average_precision = dict(type='PascalVOCMetric')
evaluators = dict(mAP=average_precision)  # AP at IoU 0.5 over 11 points of recall, as VOC2007 has it
val_evaluator = average_precision
test_evaluator = val_evaluator
