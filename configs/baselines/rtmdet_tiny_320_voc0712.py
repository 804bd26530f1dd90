# RTMDet-tiny (mmdet's) with the data, length and recipe of rtm_dicenet_320_voc0712.py.
_base_ = '../rtm_dicenet_320_voc0712.py'

layers = dict(norm_cfg=dict(type='BN'), act_cfg=dict(type='SiLU', inplace=True))
model = dict(
    _delete_=True,
    type='RTMDet',
    data_preprocessor=_base_.model.data_preprocessor,
    backbone=dict(
        type='CSPNeXt',
        arch='P5',
        expand_ratio=0.5,
        deepen_factor=0.167,
        widen_factor=0.375,
        channel_attention=True,
        **layers),
    neck=dict(
        type='CSPNeXtPAFPN',
        in_channels=[96, 192, 384],
        out_channels=96,
        num_csp_blocks=1,
        expand_ratio=0.5,
        **layers),
    bbox_head=dict(
        type='RTMDetSepBNHead',
        num_classes=20,
        in_channels=96,
        feat_channels=96,
        stacked_convs=2,
        exp_on_reg=False,
        share_conv=True,
        pred_kernel_size=1,
        with_objectness=False,
        anchor_generator=dict(type='MlvlPointGenerator', offset=0, strides=[8, 16, 32]),
        bbox_coder=dict(type='DistancePointBBoxCoder'),
        loss_cls=dict(type='QualityFocalLoss', use_sigmoid=True, beta=2.0, loss_weight=1.0),
        loss_bbox=dict(type='GIoULoss', loss_weight=2.0),
        **layers),
    train_cfg=_base_.model.train_cfg,
    test_cfg=_base_.model.test_cfg)
