"""Masks laid over their images, and a legend of the classes that are there."""
from collections.abc import Sequence

import cv2
import numpy as np
from mmengine.registry import VISUALIZERS
from mmengine.structures import PixelData
from mmseg.visualization import SegLocalVisualizer
from PIL import Image, ImageDraw, ImageFont

from dicenet_mm.evaluation.segmentation import segments

from .detection import MIN_SIDE
from .text import Captions, font_for


@VISUALIZERS.register_module()
class SegmentationVisualizer(Captions, SegLocalVisualizer):
    """mmseg's visualizer with the classes in a legend beside the picture, not written over it; small ones are enlarged.

    The background, where the first class has that name, stays as it is. ``alpha`` is the opacity of the masks.
    """

    def _draw_sem_seg(self, image: np.ndarray, sem_seg: PixelData, classes: Sequence[str],
                      palette: Sequence[Sequence[int]], with_labels: bool | None = True) -> np.ndarray:
        """See mmseg."""
        mask = sem_seg.data.squeeze(0).numpy(force=True)
        scale = max(1., MIN_SIDE / max(image.shape[:2]))
        if scale > 1:
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        height, width = image.shape[:2]
        colours = np.zeros((256, 3), np.uint8)
        colours[:len(palette)] = palette
        drawn = np.full(256, self.alpha, np.float32)
        drawn[len(classes):] = 0.  # ignored pixels, and outputs beyond the classes
        if classes[0] == 'background':
            drawn[0] = 0.
        labels = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
        alpha = drawn[labels][..., None]
        picture = (image * (1 - alpha) + colours[labels] * alpha).round().astype(np.uint8)
        if with_labels:
            picture = np.hstack((picture, _legend(height, segments(mask, classes), classes, colours)))
        picture = self.caption(picture)
        self.set_image(picture)
        return picture


def _legend(height: int, found: Sequence[dict], classes: Sequence[str], colours: np.ndarray) -> np.ndarray:
    """(height, W, 3) uint8, RGB: a line for each class found, as wide for all pictures of these classes and height."""
    size = max(12, round(height / 30))
    font = ImageFont.truetype(font_for(classes), size)
    width = round(max(font.getlength(name) for name in classes) + 3.5 * size + font.getlength(' 100 %'))
    panel = Image.new('RGB', (width, height), 'white')
    draw = ImageDraw.Draw(panel)
    line = min(1.6 * size, height / max(1, len(found)))
    for index, entry in enumerate(found):
        middle = round((index + 0.5) * line + 0.3 * size)
        colour = None if entry['label'] == 'background' else tuple(colours[classes.index(entry['label'])].tolist())
        square = [0.6 * size, middle - 0.45 * size, 1.6 * size, middle + 0.45 * size]
        draw.rectangle(square, fill=colour, outline='black')
        share = f'{entry["share"]:.0%}' if entry['share'] >= 0.01 else '< 1%'
        draw.text((2.1 * size, middle), f'{entry["label"]} {share}', font=font, fill='black', anchor='lm')
    return np.asarray(panel)
