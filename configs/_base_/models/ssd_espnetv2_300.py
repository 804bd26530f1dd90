# ESPNetv2-SSD as ESPNetv2's authors built it, whose checkpoints it takes (Table VI).
_base_ = './ssd_dicenet_300.py'

image_size = 300  # px
# 0.1 to 1.05 of the image in six equal steps, in whole pixels: each level spans from its own side to the next
box_sides = [int(30 + (315 - 30) * level / 6) for level in range(7)]
model = dict(
    backbone=dict(_delete_=True, type='ESPNetv2', widen_factor=2.0, shortcuts=4, out_indices=(2, 3, 5)),
    neck=dict(_delete_=True, type='ESPNetv2SSDNeck', out_channels=(512, 256, 128)),
    bbox_head=dict(
        type='PointwiseSSDHead',
        use_depthwise=False,
        anchor_generator=dict(
            type='ClippedSSDAnchorGenerator',
            input_size=image_size,
            min_sizes=box_sides[:-1],
            max_sizes=box_sides[1:])),
    test_cfg=dict(score_thr=0.01))
