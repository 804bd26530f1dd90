"""scikit-learn's handwritten digits as a data set for classification."""
import cv2
import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS

from .digit_scenes import CLASSES, PALETTE, load_split


@DATASETS.register_module()
class DigitsDataset(BaseDataset):
    """The 1797 digits of scikit-learn's ``load_digits``, 8 x 8 px, which nothing needs to be downloaded for.

    The first four fifths (1437) are to train on, the last fifth (360) to test on.

    Args:
        split: ``'train'`` or ``'val'``.
        **kwargs: As for mmengine's ``BaseDataset``.
    """

    METAINFO = dict(classes=CLASSES, palette=PALETTE)

    def __init__(self, split: str, **kwargs):
        self.split = split
        super().__init__(**kwargs)

    def load_data_list(self) -> list[dict]:
        """Images (8, 8, 3), uint8, black on white, with their labels."""
        _, digits, values = load_split(self.split)
        pixels = np.round(255 * (1 - digits)).astype(np.uint8)
        return [dict(img=cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), img_shape=image.shape, ori_shape=image.shape,
                     gt_label=int(value)) for image, value in zip(pixels, values)]
