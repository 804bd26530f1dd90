"""Small detectors for tools/benchmark.py, ours and others', from images to raw outputs: what any engine runs whole."""
from pathlib import Path

import torchvision
from mmdet import models  # noqa: F401
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from peer_models import Raw
from torch import Tensor, nn

CONFIGS = Path(__file__).parents[1] / 'configs'
#: Of each its configuration, which is built for COCO's 80 classes, and the side of its image in px.
CONFIGURED = {
    'SSD300 DiCENet s=2.4': ('ssd_dicenet_300_coco', 300), 'RTM-DiCENet at 320': ('rtm_dicenet_320_coco', 320),
    'YOLOX-Nano at 416': ('baselines/yolox_nano_416_voc0712', 416),
    'RTMDet-tiny at 320': ('baselines/rtmdet_tiny_320_voc0712', 320)}


class RawSSDLite(nn.Module):
    """torchvision's SSDLite320 with MobileNetV3-Large, to raw outputs: (N, 3, H, W) -> maps, one after the other."""

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
    for name, (config, side) in CONFIGURED.items():
        cfg = Config.fromfile(str(CONFIGS / f'{config}.py'))
        cfg.model.bbox_head.num_classes = 80
        made[name] = Raw(MODELS.build(cfg.model)), side
    made['SSDLite320'] = RawSSDLite(), 320
    return made
