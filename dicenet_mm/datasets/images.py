"""Image files that cannot be used: found before they are decoded, skipped in training, named in testing."""
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import torch
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log
from PIL import Image, UnidentifiedImageError

from dicenet_mm.errors import UserError

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff', '.ppm', '.pgm')
MAX_UNREADABLE = 0.05  # of a training set's images
# What a whole file ends with. Most decoders give a cut-off file as a picture whose rest is grey.
ENDINGS = {'JPEG': b'\xff\xd9', 'PNG': b'IEND\xaeB`\x82'}
ORIENTATION = 0x0112  # EXIF tag; from 5 on, width and height change places


class DataError(UserError):
    """A file of a data set is wrong.

    Args:
        message: The sentence. A data loader's worker hands it on with its traceback before it, which is left out.
    """

    def __init__(self, message: str):
        super().__init__(message.rsplit(f'{type(self).__name__}: ', 1)[-1].strip())


class ImageError(DataError):
    """An image (or its mask) cannot be read, or too many cannot."""


def image_size(path: str | Path) -> tuple[int, int]:
    """Width and height in px of an image as OpenCV decodes it, turned as its EXIF data asks; only the header is read.

    Raises:
        ImageError: If there is no such file, or it is no image, or it is cut off.
    """
    try:
        with Image.open(path) as image:
            ending = ENDINGS.get(image.format)
            if ending and not _ends_with(path, ending):
                image.load()  # some writers leave bytes after the end, so only decoding tells
            width, height = image.size
            turned = image.getexif().get(ORIENTATION, 1) >= 5
    except (UnidentifiedImageError, Image.DecompressionBombError):  # OpenCV reads a few formats more
        image = cv2.imread(str(path))
        if image is None:
            raise ImageError(f'{path} cannot be read as an image') from None
        return image.shape[1], image.shape[0]
    except FileNotFoundError:
        raise ImageError(f'there is no image {path}') from None
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow's readers raise on broken files
        raise ImageError(f'{path} cannot be read as an image: {error}') from None
    return (height, width) if turned else (width, height)


def _ends_with(path: str | Path, ending: bytes) -> bool:
    with open(path, 'rb') as file:
        file.seek(-min(len(ending), os.path.getsize(path)), os.SEEK_END)
        return file.read() == ending


class SkipsUnreadable:
    """For a data set of mmengine (stand before it): what becomes of images that cannot be read.

    In training another image takes the place of one that cannot be read, with a warning that names it and counts, and
    an error stops the training when more than 5 % of the images are like that. In testing the first one is an error.
    Images of another size than the annotations say are warned of, too.

    The tallies lie in shared memory, so that what the workers of a data loader find is known to all.
    """

    def full_init(self) -> None:
        if self._fully_initialized:
            return
        super().full_init()
        self.unreadable = torch.zeros(len(self), dtype=torch.bool).share_memory_()
        self.missized = torch.zeros(len(self), dtype=torch.bool).share_memory_()

    def filter_data(self) -> list[dict]:
        """See mmengine.

        Raises:
            UserError: If no image is left.
        """
        data_list = super().filter_data()
        if not data_list:
            raise UserError(f'{self.ann_file or self.data_root} leaves no image to use: it lists none, or none with an '
                            f'annotation and of the size that filter_cfg={self.filter_cfg} asks for')
        return data_list

    def prepare_data(self, idx: int) -> dict | None:
        """The sample through the pipeline; None in training where its image cannot be read.

        Raises:
            ImageError: If it cannot be read in testing, or too many cannot in training.
        """
        info = self.get_data_info(idx)
        try:
            self._compare_size(idx, info, image_size(info['img_path']))
            try:
                return super().prepare_data(idx)
            except Exception:
                if cv2.imread(info['img_path']) is None:
                    raise ImageError(f'{info["img_path"]} cannot be decoded') from None
                raise
        except ImageError as error:
            if self.test_mode:
                raise ImageError(f'{error}: mend the file, or take it out of {self.ann_file or "the data"}') from None
            self._skip(idx, error)
            return None

    def _skip(self, idx: int, error: ImageError) -> None:
        if self.unreadable[idx]:
            return
        self.unreadable[idx] = True
        count = int(self.unreadable.sum())
        if count > MAX_UNREADABLE * len(self):
            raise ImageError(f'{count} of {len(self)} training images cannot be read, more than {MAX_UNREADABLE:.0%}: '
                             f'mend the files or take them out of {self.ann_file or "the data"}; the last is: {error}')
        print_log(f'{error}: skipped ({count} of {len(self)} images so far; training stops at more than '
                  f'{MAX_UNREADABLE:.0%})', 'current', logging.WARNING)

    def _compare_size(self, idx: int, info: dict, size: tuple[int, int]) -> None:
        noted = info.get('width'), info.get('height')
        if None in noted or noted == size:
            return
        if not self.missized.any():
            print_log('{} has {}x{} px, but {}x{} in the annotations: its boxes may be wrong. Further images of this '
                      'kind are only counted'.format(info['img_path'], *size, *noted), 'current', logging.WARNING)
        self.missized[idx] = True


def report_images(dataset: BaseDataset) -> None:
    """Log how many images of a training set, inside any wrappers, turned out unreadable or of another size."""
    for part in _parts(dataset):
        if part.unreadable.any():
            paths = [part.get_data_info(int(index))['img_path'] for index in part.unreadable.nonzero()[:5]]
            print_log(f'{int(part.unreadable.sum())} of {len(part)} training images could not be read and were '
                      f'skipped: {", ".join(paths)}{" ..." if part.unreadable.sum() > 5 else ""}',
                      'current', logging.WARNING)
        if part.missized.any():
            print_log(f'{int(part.missized.sum())} of {len(part)} training images have another size than in '
                      f'{part.ann_file}', 'current', logging.WARNING)


def _parts(dataset) -> Iterator[SkipsUnreadable]:
    if isinstance(dataset, SkipsUnreadable):
        yield dataset
    for part in getattr(dataset, 'datasets', [getattr(dataset, 'dataset', None)]):
        if part is not None:
            yield from _parts(part)
