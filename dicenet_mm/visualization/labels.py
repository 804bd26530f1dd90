"""Labels of whole images, drawn into them."""
from collections.abc import Sequence

import cv2
import mmcv
import numpy as np
from mmengine.dist import master_only
from mmengine.registry import VISUALIZERS
from mmengine.visualization import Visualizer
from PIL import Image, ImageDraw, ImageFont

from dicenet_mm.evaluation.classification import best_labels

from .detection import MIN_SIDE
from .text import font_for

PREDICTION, TRUTH, RIGHT = (40, 40, 40), (0, 90, 160), (0, 120, 50)  # backgrounds of the lines, RGB


@VISUALIZERS.register_module()
class LabelVisualizer(Visualizer):
    """Lists an image's labels in its upper left corner, with letters sized by the picture; small ones are enlarged."""

    @master_only
    def add_datasample(self, name: str, image: np.ndarray, data_sample, draw_gt: bool = True, draw_pred: bool = True,
                       out_file: str | None = None, pred_score_thr: float = 0.3, step: int = 0) -> None:
        """Draw one image.

        Args:
            name: For the visualizer's backends.
            image: (H, W, 3), uint8, RGB.
            data_sample: mmpretrain's ``DataSample`` with ``gt_label`` or ``pred_score``.
            draw_gt: Whether to list what it shows.
            draw_pred: Whether to list what was predicted; with the truth beside it, right labels are green.
            out_file: Where the picture goes instead of the backends.
            pred_score_thr: Labels that score less are left out. Where all do, a line says so.
            step: For the backends.
        """
        classes = self.dataset_meta['classes']
        truth = data_sample.gt_label.tolist() if draw_gt and 'gt_label' in data_sample else None
        lines = []
        if draw_pred and 'pred_score' in data_sample:
            found = best_labels(data_sample.pred_score, pred_score_thr)
            lines += [(f'{classes[label]} {score:.2f}', RIGHT if truth and label in truth else PREDICTION)
                      for label, score in found]
            lines += [] if found else [(f'no label scores {pred_score_thr:.2f}', PREDICTION)]
        if truth is not None:
            lines += [(f'truth: {", ".join(classes[label] for label in truth) or "nothing"}', TRUTH)]
        drawn = _list(image, lines)
        self.set_image(drawn)
        if out_file:
            mmcv.imwrite(drawn[..., ::-1], out_file)
        else:
            self.add_image(name, drawn, step)


def _list(image: np.ndarray, lines: Sequence[tuple[str, tuple[int, int, int]]]) -> np.ndarray:
    """The image, enlarged if it is small, with lines of text and their backgrounds, as many as fit."""
    scale = max(1., MIN_SIDE / max(image.shape[:2]))
    if scale > 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    picture = Image.fromarray(np.ascontiguousarray(image))
    draw = ImageDraw.Draw(picture)
    size = max(14, round(max(picture.size) / 40))
    font, height = ImageFont.truetype(font_for(text for text, _ in lines), size), round(1.5 * size)
    fitting = max(1, picture.height // height - 1)
    if len(lines) > fitting:
        lines = [*lines[:fitting - 1], (f'... {len(lines) - fitting + 1} more', PREDICTION)]
    for index, (text, colour) in enumerate(lines):
        y = round((index + 0.5) * height)
        draw.rectangle([0, y, size + draw.textlength(text, font=font), y + height - 2], fill=colour)
        draw.text((size / 2, y + height / 2 - 1), text, font=font, fill='white', anchor='lm')
    return np.asarray(picture)
