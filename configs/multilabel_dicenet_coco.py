# Several labels an image (Table VII). The paper starts from ImageNet weights:
#   --cfg-options load_from=work_dirs/dicenet_imagenet_e300_b2048/epoch_300.pth, or a converted file of the authors
_base_ = [
    '_base_/models/dicenet_classifier.py', '_base_/datasets/coco_multilabel.py', '_base_/schedules/multilabel.py',
    '_base_/default_runtime.py'
]
# Binary cross entropy: the sum over the classes, the mean over the images
model = dict(head=dict(type='MultiLabelLinearClsHead', num_classes=80))
default_hooks = dict(checkpoint=dict(save_best='multi-label/class_f1', rule='greater'))
