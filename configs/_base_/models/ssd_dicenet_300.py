# DiCENet-SSD (Section 5.2): Table VI's multiply-adds and parameters to 8 %, README.md has the table.
default_scope = 'mmdet'
visualizer = dict(type='DetectionVisualizer', vis_backends=[dict(type='JsonVisBackend')], name='visualizer')
visualization_hook = dict(type='DetVisualizationHook')  # for tools/test.py --show-dir

norm_cfg = dict(type='BN')
act_cfg = dict(type='PReLU')
image_size = 300  # px
# box sides of the six levels: each level spans from its own side to the next
box_sides = [image_size * (0.1 + 0.95 * level / 6) for level in range(7)]
model = dict(
    type='SSD',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],  # ImageNet, RGB
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    backbone=dict(type='DiCENet', widen_factor=2.4, out_indices=(2, 3, 4)),
    neck=dict(
        type='SSDNeck',
        out_channels=(512, 256, 256),  # the added levels; the others are the backbone's
        level_strides=(2, 2, 2),
        level_paddings=(1, 1, 0),
        l2_norm_scale=None,
        use_depthwise=True,
        norm_cfg=norm_cfg,
        act_cfg=act_cfg),
    bbox_head=dict(
        type='SSDHead',
        num_classes=80,
        use_depthwise=True,
        norm_cfg=norm_cfg,
        act_cfg=act_cfg,
        anchor_generator=dict(
            type='SSDAnchorGenerator',
            scale_major=False,
            strides=[8, 16, 32, 64, 100, 300],
            ratios=[[2, 3]] * 6,
            min_sizes=box_sides[:-1],
            max_sizes=box_sides[1:]),
        bbox_coder=dict(
            type='DeltaXYWHBBoxCoder', target_means=[0., 0., 0., 0.], target_stds=[0.1, 0.1, 0.2, 0.2])),
    train_cfg=dict(
        assigner=dict(
            type='MaxIoUAssigner',
            pos_iou_thr=0.5,
            neg_iou_thr=0.5,
            min_pos_iou=0.,
            ignore_iof_thr=-1,
            gt_max_assign_all=False),
        sampler=dict(type='PseudoSampler'),
        smoothl1_beta=1.,
        allowed_border=-1,
        pos_weight=-1,
        neg_pos_ratio=3,
        debug=False),
    test_cfg=dict(
        nms_pre=1000,
        nms=dict(type='nms', iou_threshold=0.45),
        min_bbox_size=0,
        score_thr=0.02,
        max_per_img=200))
tta_model = dict(type='DetTTAModel', tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.45), max_per_img=200))
