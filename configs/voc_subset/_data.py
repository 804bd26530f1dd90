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
