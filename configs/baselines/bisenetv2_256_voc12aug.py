# BiSeNetV2 (mmseg's; https://arxiv.org/abs/2004.02147), with the data, length and recipe of
# espnetv2_dicenet_256_voc12aug.py.
_base_ = '../espnetv2_dicenet_256_voc12aug.py'

head = dict(
    type='FCNHead', num_classes=21, norm_cfg=dict(type='BN'), concat_input=False,
    loss_decode=dict(type='CrossEntropyLoss'))
model = dict(
    _delete_=True,
    type='EncoderDecoder',
    data_preprocessor=_base_.model.data_preprocessor,
    backbone=dict(
        type='BiSeNetV2',
        detail_channels=(64, 64, 128),
        semantic_channels=(16, 32, 64, 128),
        semantic_expansion_ratio=6,
        bga_channels=128,
        out_indices=(0, 1, 2, 3, 4)),
    decode_head=dict(head, in_index=0, in_channels=128, channels=1024, num_convs=1),
    auxiliary_head=[
        dict(head, in_index=index, in_channels=inside, channels=channels, num_convs=2)
        for index, inside, channels in ((1, 16, 16), (2, 32, 64), (3, 64, 256), (4, 128, 1024))],
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
