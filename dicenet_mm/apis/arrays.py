"""Images of any kind that people hold in memory or on disk, as the models take them."""
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from dicenet_mm.datasets.images import decode, image_header
from dicenet_mm.errors import UserError
from dicenet_mm.paths import require_file

#: A file, an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) uint8 in BGR, or a picture of Pillow.
ImageLike = str | Path | np.ndarray | Image.Image


def to_arrays(images: ImageLike | Sequence[ImageLike]) -> list[np.ndarray]:
    """One image or several, each as (H, W, 3) uint8 in BGR.

    Args:
        images: Files, arrays and pictures of Pillow, also mixed; an array (N, H, W, 3) is N images. Files are turned as
            their EXIF data asks, and so are Pillow's pictures. Transparency is left out.

    Raises:
        UserError: If a file is none or cannot be read, an array is of another shape or type, or something is no image.
    """
    if isinstance(images, (str, Path, Image.Image)) or isinstance(images, np.ndarray) and images.ndim in (2, 3):
        images = [images]
    if not isinstance(images, np.ndarray) and not isinstance(images, Sequence):
        raise UserError(f'images are files, NumPy arrays or pictures of Pillow, or a list of them, not a '
                        f'{type(images).__name__}')
    return [_to_array(image, index) for index, image in enumerate(images)]


def read_image(path: str | Path) -> np.ndarray:
    """An image file as (H, W, 3) uint8 in BGR, turned as its EXIF data asks.

    Raises:
        UserError: If there is none, it cannot be decoded, is cut off or has too many pixels
            (:func:`dicenet_mm.datasets.images.image_header`).
    """
    file = require_file(path, 'image')
    image_header(file)
    image = decode(file)
    if image is None:
        raise UserError(f'{path} cannot be read as an image')
    return image


def _to_array(image: ImageLike, index: int) -> np.ndarray:
    if isinstance(image, (str, Path)):
        return read_image(image)
    if isinstance(image, Image.Image):
        return np.asarray(ImageOps.exif_transpose(image).convert('RGB'))[..., ::-1].copy()
    if not isinstance(image, np.ndarray):
        raise UserError(f'image {index} is a {type(image).__name__}: give a file, a NumPy array or a picture of Pillow')
    if image.dtype != np.uint8:
        raise UserError(f'image {index} is an array of {image.dtype}: give uint8, from 0 to 255')
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[2] not in (1, 3, 4) or 0 in image.shape:
        raise UserError(f'image {index} is an array of shape {image.shape}: give (height, width), (height, width, 3) '
                        'in BGR, or a list of such')
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else np.ascontiguousarray(image[..., :3])
