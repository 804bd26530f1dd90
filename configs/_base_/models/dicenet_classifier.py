# DiCENet for classification (Section 4, Figure 4): multiply-adds and parameters are those of the paper's code.
default_scope = 'mmpretrain'
visualizer = dict(type='LabelVisualizer', vis_backends=[dict(type='JsonVisBackend')], name='visualizer')
visualization_hook = dict(type='PicturesHook')  # for tools/test.py --show-dir

model = dict(
    type='Classifier',
    data_preprocessor=dict(
        type='ClsDataPreprocessor',
        mean=[123.675, 116.28, 103.53],  # ImageNet, RGB
        std=[58.395, 57.12, 57.375],
        to_rgb=True),
    backbone=dict(type='DiCENet', widen_factor=2.4, out_indices=(4, )),
    neck=dict(type='DiCENetNeck'),  # width and dropout follow widen_factor
    head=dict(type='LinearClsHead', num_classes=1000))
tta_model = dict(type='AverageClsScoreTTA')
