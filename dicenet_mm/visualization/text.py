"""Letters in pictures, and the colours of classes."""
import functools
from collections.abc import Iterable, Sequence

import matplotlib
import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]


def font_for(texts: Iterable[str]) -> str:
    """The file of a font that has all letters of some texts: DejaVu Sans, or else the first on this machine that does.

    Where none does, it is DejaVu Sans, which draws the missing letters as boxes.
    """
    return _font(frozenset(ord(letter) for text in texts for letter in text if letter.isprintable()))


@functools.lru_cache(maxsize=64)
def _font(letters: frozenset[int]) -> str:
    usual = font_manager.findfont('DejaVu Sans')
    if letters <= _letters(usual):
        return usual
    others = (entry.fname for entry in font_manager.fontManager.ttflist if 'Mono' not in entry.name)
    return next((file for file in others if letters <= _letters(file)), usual)


@functools.cache
def _letters(file: str) -> frozenset[int]:
    try:
        return frozenset(font_manager.get_font(file).get_charmap())
    except (OSError, RuntimeError):  # a file that went away, or that FreeType cannot read
        return frozenset()


def class_colours(count: int) -> list[Colour]:
    """A colour (R, G, B) for each of some classes, far from each other: Tableau's, as matplotlib has them.

    Beyond twenty the hues go around the circle.
    """
    if count <= 20:
        name = 'tab10' if count <= 10 else 'tab20'
        colours = matplotlib.colormaps[name].colors[:count]
    else:
        steps = np.arange(count) * 0.618 % 1  # neighbours far from each other
        colours = matplotlib.colormaps['hsv'](steps)[:, :3] * np.where(np.arange(count) % 2, 1., 0.7)[:, None]
    return [tuple(round(255 * float(part)) for part in colour) for colour in colours]


def captioned(picture: np.ndarray, text: str) -> np.ndarray:
    """A picture (H, W, 3), RGB, below a line of text."""
    size = max(14, round(max(picture.shape[:2]) / 40))
    line = Image.new('RGB', (picture.shape[1], round(1.6 * size)), 'white')
    font = ImageFont.truetype(font_for([text]), size)
    ImageDraw.Draw(line).text((size / 2, line.height / 2), text, font=font, fill='black', anchor='lm')
    return np.vstack((np.asarray(line), picture))


class Captions:
    """For a visualizer of mmdet or mmseg that draws truth and prediction side by side: says above which is which."""

    def add_datasample(self, name: str, image: np.ndarray, data_sample=None, draw_gt: bool = True,
                       draw_pred: bool = True, **kwargs) -> None:
        """See the visualizer."""
        kinds = data_sample.keys() if data_sample is not None else ()
        both = draw_gt and draw_pred and any(kind.startswith('gt_') for kind in kinds)
        self._captions: Sequence[str] = ['truth', 'prediction'] if both else []
        super().add_datasample(name, image, data_sample, draw_gt, draw_pred, **kwargs)

    def caption(self, picture: np.ndarray) -> np.ndarray:
        """The next picture drawn, with its caption if there is another beside it."""
        captions = getattr(self, '_captions', [])
        return captioned(picture, captions.pop(0)) if captions else picture
