"""Priors of detectors."""
from mmdet.models.task_modules import SSDAnchorGenerator
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy, bbox_xyxy_to_cxcywh
from mmengine.registry import TASK_UTILS
from torch import Tensor


@TASK_UTILS.register_module()
class ClippedSSDAnchorGenerator(SSDAnchorGenerator):
    """mmdet's ``SSDAnchorGenerator`` whose centres and sides are clipped to the image, as in ESPNetv2-SSD.

    A box can thus still reach over the border: its centre and its sides alone are clipped.

    Args:
        input_size: Side of the image, px.
        **kwargs: As for ``SSDAnchorGenerator``; ``min_sizes`` and ``max_sizes`` are needed for sides other than 300 and
            512 px.
    """

    def __init__(self, input_size: int, **kwargs):
        super().__init__(input_size=input_size, **kwargs)
        self.input_size = input_size

    def single_level_grid_priors(self, *args, **kwargs) -> Tensor:
        """The priors (H W B, 4) of a level of H x W places and B boxes each: x1, y1, x2, y2 in px."""
        priors = bbox_xyxy_to_cxcywh(super().single_level_grid_priors(*args, **kwargs))
        return bbox_cxcywh_to_xyxy(priors.clamp(0, self.input_size))
