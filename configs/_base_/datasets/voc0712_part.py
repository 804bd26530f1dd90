# VOC with part of its images (docs/results.md): VOC2007 and 2012 trainval, every fifteenth image of 2007 kept to choose
# by, the test set for the end.
voc2007 = dict(
    type='CheckedVOCDataset',
    data_root='data/VOCdevkit/',
    ann_file='VOC2007/ImageSets/Main/trainval.txt',
    data_prefix=dict(sub_data_root='VOC2007/'))
voc2012 = dict(
    type='CheckedVOCDataset',
    data_root='data/VOCdevkit/',
    ann_file='VOC2012/ImageSets/Main/trainval.txt',
    data_prefix=dict(sub_data_root='VOC2012/'))
kept = list(range(0, 3565, 15))
trained_on = [index for index in range(3565) if index % 15]
loader = dict(batch_size=8, num_workers=1, sampler=dict(type='DefaultSampler', shuffle=False))
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler'),
    dataset=dict(
        type='ConcatDataset',
        ignore_keys=['dataset_type'],
        datasets=[dict(voc2007, indices=trained_on), voc2012]))
val_dataloader = dict(loader, dataset=dict(voc2007, indices=kept, test_mode=True))
test_dataloader = dict(
    loader, dataset=dict(voc2007, ann_file='VOC2007/ImageSets/Main/test.txt', test_mode=True))
val_evaluator = dict(type='PascalVOCMetric')  # AP at IoU 0.5 over 11 points of recall
test_evaluator = val_evaluator
evaluators = dict(mAP=val_evaluator)
