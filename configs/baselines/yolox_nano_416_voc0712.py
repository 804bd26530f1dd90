# YOLOX-Nano (mmdet's) with the data, length and recipe of rtm_dicenet_416_voc0712.py.
_base_ = '../rtm_dicenet_416_voc0712.py'

layers = dict(
    norm_cfg=dict(type='BN', momentum=0.03, eps=0.001), act_cfg=dict(type='Swish'), use_depthwise=True)
model = dict(
    _delete_=True,
    type='YOLOX',
    data_preprocessor=_base_.model.data_preprocessor,
    backbone=dict(type='CSPDarknet', deepen_factor=0.33, widen_factor=0.25, out_indices=(2, 3, 4), **layers),
    neck=dict(type='YOLOXPAFPN', in_channels=[64, 128, 256], out_channels=64, num_csp_blocks=1, **layers),
    bbox_head=dict(type='YOLOXHead', num_classes=20, in_channels=64, feat_channels=64, **layers),
    train_cfg=dict(assigner=dict(type='SimOTAAssigner', center_radius=2.5)),
    test_cfg=dict(score_thr=0.01, nms=dict(type='nms', iou_threshold=0.65)))
