"""Many pictures on one."""
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageOps
from torchvision.utils import make_grid


def contact_sheet(pictures: Sequence[np.ndarray], columns: int = 4, side: int = 400) -> np.ndarray:
    """Pictures (H, W, 3) uint8, each shrunk or enlarged to fit a square, row by row on white.

    Args:
        pictures: One at least.
        columns: Squares in a row.
        side: Of a square, px.

    Returns:
        (H, W, 3) uint8.
    """
    tiles = [np.asarray(ImageOps.pad(Image.fromarray(np.ascontiguousarray(picture)), (side, side), color='white'))
             for picture in pictures]
    grid = make_grid(torch.from_numpy(np.stack(tiles)).permute(0, 3, 1, 2), nrow=columns, padding=6, pad_value=255)
    return grid.permute(1, 2, 0).numpy()
