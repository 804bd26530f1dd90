"""Boxes and labels that stay legible at any image size."""
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from mmdet.structures.bbox import get_box_tensor
from mmdet.visualization import DetLocalVisualizer
from mmengine.registry import VISUALIZERS
from mmengine.structures import InstanceData
from torchvision.ops import nms
from torchvision.utils import draw_bounding_boxes

from .text import Captions, class_colours, font_for

#: Pictures with a shorter long side are enlarged to it, px: letters need some.
MIN_SIDE = 640


@VISUALIZERS.register_module()
class DetectionVisualizer(Captions, DetLocalVisualizer):
    """mmdet's visualizer with lines and letters sized by the picture, and small pictures enlarged.

    Args:
        max_overlap: Of the boxes predicted for one object as several classes, only the best is drawn: those are left
            out whose intersection over union with a better one is larger. 1 draws all.
        **kwargs: As for mmdet's.
    """

    def __init__(self, name: str = 'visualizer', *args, max_overlap: float = 0.65, **kwargs):
        super().__init__(name, *args, **kwargs)
        self.max_overlap = max_overlap

    def _draw_instances(self, image: np.ndarray, instances: InstanceData, classes: Sequence[str] | None,
                        palette: list[tuple[int, int, int]] | None) -> np.ndarray:
        height, width = image.shape[:2]
        scale = max(1., MIN_SIDE / max(height, width))
        if scale > 1:
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        if len(instances) == 0:
            return self.caption(image)
        if 'scores' in instances:
            boxes = get_box_tensor(instances.bboxes).float()
            instances = instances[nms(boxes, instances.scores.float(), self.max_overlap)]
        side = max(image.shape[:2])
        order = torch.as_tensor(instances.get('scores', torch.zeros(len(instances)))).argsort()  # best on top
        instances = instances[order]
        labels = instances.labels.tolist()
        colors = palette or class_colours(max(labels) + 1)
        colors = [tuple(colors[label]) for label in labels]
        texts = [classes[label] if classes else f'class {label}' for label in labels]
        if 'scores' in instances:
            texts = [f'{text} {score:.2f}' for text, score in zip(texts, instances.scores.tolist())]
        drawn = draw_bounding_boxes(
            torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1),
            _clipped(get_box_tensor(instances.bboxes) * scale, *image.shape[:2]),
            texts,
            colors=colors,
            label_colors=['black' if _is_light(color) else 'white' for color in colors],
            fill_labels=True,
            width=max(2, round(side / 400)),
            font=font_for(texts),
            font_size=max(12, round(side / 50)))
        return self.caption(drawn.permute(1, 2, 0).numpy())


def _clipped(boxes: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Boxes (K, 4) as x1 y1 x2 y2, px, moved inside the picture and with x1 <= x2, y1 <= y2."""
    limit = boxes.new_tensor([width - 1, height - 1])
    corners = boxes.unflatten(1, (2, 2)).clamp(min=0).minimum(limit)
    return corners.sort(dim=1).values.flatten(1)


def _is_light(color: tuple[int, int, int]) -> bool:
    """Whether black letters read better than white ones on a colour (Rec. 601 luma)."""
    return 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2] > 140
