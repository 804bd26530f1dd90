"""Small detectors for tools/benchmark.py, ours and others', from images to raw outputs: what any engine runs whole."""
from pathlib import Path

import torchvision
from mmdet import models  # noqa: F401
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn

CONFIGS = Path(__file__).parents[1] / 'configs'
#: Side of the image that each takes, px.
OURS = {'SSD300 DiCENet s=2.4': ('ssd_dicenet_300_coco', 300), 'RTM-DiCENet at 320': ('rtm_dicenet_320_coco', 320)}
OTHERS = {'YOLOX-Nano at 416': 416, 'RTMDet-tiny at 320': 320, 'SSDLite320': 320}

BN, SWISH = dict(type='BN'), dict(type='Swish')
#: Backbone, neck and head, as their authors publish them, with 80 classes: `exps/default/yolox_nano.py` of YOLOX, and
#: `rtmdet_tiny` of mmdet.
CONFIGURATIONS = {
    'YOLOX-Nano at 416': (
        dict(type='CSPDarknet', deepen_factor=0.33, widen_factor=0.25, use_depthwise=True),
        dict(type='YOLOXPAFPN', in_channels=[64, 128, 256], out_channels=64, num_csp_blocks=1, use_depthwise=True),
        dict(type='YOLOXHead', num_classes=80, in_channels=64, feat_channels=64, use_depthwise=True)),
    'RTMDet-tiny at 320': (
        dict(type='CSPNeXt', deepen_factor=0.167, widen_factor=0.375, channel_attention=True, norm_cfg=BN),
        dict(type='CSPNeXtPAFPN', in_channels=[96, 192, 384], out_channels=96, num_csp_blocks=1, norm_cfg=BN),
        dict(type='RTMDetSepBNHead', num_classes=80, in_channels=96, feat_channels=96, stacked_convs=2,
             anchor_generator=dict(type='MlvlPointGenerator', offset=0, strides=[8, 16, 32]),
             bbox_coder=dict(type='DistancePointBBoxCoder'), share_conv=True, pred_kernel_size=1,
             loss_cls=dict(type='QualityFocalLoss', use_sigmoid=True), exp_on_reg=False, with_objectness=False,
             norm_cfg=BN, act_cfg=SWISH)),
}


class RawDetector(nn.Module):
    """A detector's network without what reads boxes from its maps: (N, 3, H, W) -> maps, one after the other."""

    def __init__(self, backbone: nn.Module, neck: nn.Module, head: nn.Module):
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.head = head

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        outputs = self.head(self.neck(self.backbone(x)))
        return tuple(tensor for kind in outputs if kind is not None for tensor in kind)


class RawSSDLite(nn.Module):
    """torchvision's SSDLite320 with MobileNetV3-Large, likewise."""

    def __init__(self):
        super().__init__()
        whole = torchvision.models.detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None)
        self.backbone, self.head = whole.backbone, whole.head

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.head(list(self.backbone(x).values())).values())


def detectors() -> dict[str, tuple[nn.Module, int]]:
    """All of them by name, ours first, each with the side of its image in px."""
    init_default_scope('mmdet')
    made = {}
    for name, (config, side) in OURS.items():
        whole = MODELS.build(Config.fromfile(str(CONFIGS / f'{config}.py')).model)
        made[name] = RawDetector(whole.backbone, whole.neck, whole.bbox_head), side
    for name, side in OTHERS.items():
        parts = map(MODELS.build, CONFIGURATIONS.get(name, ()))
        made[name] = RawDetector(*parts) if name in CONFIGURATIONS else RawSSDLite(), side
    return made
