# The paper's data: VOC 2012 with SBD's masks, and the images of COCO mapped to the 21 classes, which
# tools/dataset_converters/coco_to_voc21.py makes (--out data/coco_voc21).
_base_ = './espnetv2_dicenet_256_voc12aug.py'

coco = dict(
    type='VOCSegDataset',
    data_prefix=dict(img_path='data/coco/train2017', seg_map_path='data/coco_voc21/train2017'),
    ann_file='data/coco_voc21/train2017.txt',
    pipeline=_base_.train_pipeline)
train_dataloader = dict(
    dataset=dict(_delete_=True, type='ConcatDataset', datasets=[_base_.train_dataloader.dataset, coco]))
