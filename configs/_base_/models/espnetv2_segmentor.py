# ESPNetv2's decoder on DiCENet (Section 5.3, Figure 9). Another encoder, ESPNetv2 for one, takes the same place.
default_scope = 'mmseg'
visualizer = dict(
    type='SegmentationVisualizer', vis_backends=[dict(type='JsonVisBackend')], name='visualizer', alpha=0.6)
visualization_hook = dict(type='PicturesHook')  # for tools/test.py --show-dir

model = dict(
    type='ESPNetv2Segmentor',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],  # ImageNet, RGB
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        size=(256, 256),  # crops of smaller images are padded: with the mean, and in the mask with 255, ignored
        seg_pad_val=255),
    backbone=dict(type='DiCENet', widen_factor=1.0, out_indices=(0, 1, 2, 3)),
    decode_head=dict(type='ESPNetv2Head', num_classes=21, base_channels=16),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
tta_model = dict(type='SegTTAModel')
