"""What a model does wrong, drawn into the image."""
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torchvision.utils import draw_bounding_boxes

from dicenet_mm.evaluation.matches import Matches

from .detection import MIN_SIDE
from .text import class_colours, font_for

#: What was right, wrong and missed, RGB.
RIGHT, WRONG, MISSED = (0, 158, 80), (213, 40, 0), (0, 90, 200)


def draw_matches(image: np.ndarray, found: Matches, classes: Sequence[str]) -> np.ndarray:
    """Draw detections that are right (green) and wrong (red), and objects that are missed (blue).

    Args:
        image: (H, W, 3) uint8, RGB; a small one is enlarged.
        found: What is drawn.
        classes: Class names.
    """
    scale = max(1., MIN_SIDE / max(image.shape[:2]))
    if scale > 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    rows = [(row, colour, text) for rows, colour, text in (
        (found.missed, MISSED, '{}'), (found.right, RIGHT, '{} {:.2f}'), (found.wrong, WRONG, '{} {:.2f}'))
        for row in rows]
    if not rows:
        return image
    texts = [text.format(classes[int(row[4])], row[5]) for row, _, text in rows]
    side = max(image.shape[:2])
    limit = torch.tensor([image.shape[1] - 1., image.shape[0] - 1.]).repeat(2)
    boxes = (torch.tensor([row[:4] for row, *_ in rows]) * scale).clamp(min=0).minimum(limit)
    drawn = draw_bounding_boxes(
        torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1), boxes, texts,
        colors=[colour for _, colour, _ in rows], label_colors='white', fill_labels=True, width=max(2, side // 250),
        font=font_for(texts), font_size=max(14, side // 40))
    return drawn.permute(1, 2, 0).numpy()


def draw_masks(image: np.ndarray, truth: np.ndarray, found: np.ndarray, palette: Sequence[Sequence[int]] | None,
               ignored: int = 255) -> np.ndarray:
    """The truth, what was found, and in red the pixels that are wrong, side by side over the image.

    Args:
        image: (H, W, 3) uint8, RGB.
        truth: (H, W) class numbers.
        found: (H, W) class numbers.
        palette: (R, G, B) of each class; any colours by default.
        ignored: The value of pixels that do not count.
    """
    colours = np.zeros((256, 3), np.uint8)
    known = palette or class_colours(int(max(truth[truth != ignored].max(initial=0), found.max())) + 1)
    colours[:len(known)] = known
    grey = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    wrong = ((truth != found) & (truth != ignored))[..., None]
    layers = [colours[truth], colours[found], np.where(wrong, np.uint8(WRONG), grey)]
    return np.hstack([cv2.addWeighted(grey, 0.4, layer, 0.6, 0) for layer in layers])
