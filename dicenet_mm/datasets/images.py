"""Image files that cannot be used: found before they are decoded, skipped in training, named in testing."""
import logging
import os
import warnings
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log
from PIL import Image, UnidentifiedImageError

from dicenet_mm.errors import UserError
from dicenet_mm.formats import IMAGE_SUFFIXES  # noqa: F401 (the other data sets take it from here)

from .nested import innermost

#: Images of more pixels are refused before they are decoded: 0.8 GB in memory.
MAX_PIXELS = 2**28
MAX_UNREADABLE = 0.05  # of a training set's images
FILES = ('img_path', 'seg_map_path', 'xml_path', 'label_path')  # what names a file in an entry of a data set
TURNED = range(2, 5)  # orientations that leave the size as it is, which so does not tell whether boxes are turned
# What a whole file ends with. Most decoders give a cut-off file as a picture whose rest is grey.
ENDINGS = {'JPEG': b'\xff\xd9', 'PNG': b'IEND\xaeB`\x82'}
ORIENTATION = 0x0112  # EXIF tag; from 5 on, width and height change places
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
warnings.filterwarnings('ignore', category=Image.DecompressionBombWarning)  # the error of image_header says more


class DataError(UserError):
    """A file of a data set is wrong.

    Args:
        message: The sentence. A data loader's worker hands it on with its traceback before it, which is left out.
    """

    def __init__(self, message: str):
        super().__init__(message.rsplit(f'{type(self).__name__}: ', 1)[-1].strip())


class ImageError(DataError):
    """An image (or its mask) cannot be read, or too many cannot."""


def image_header(path: str | Path) -> tuple[int, int, int]:
    """Width and height in px of an image as OpenCV decodes it, and its EXIF orientation, 1 to 8.

    The size is that after turning the image as its EXIF data asks, which OpenCV does. Only the header is read.

    Raises:
        ImageError: If there is no such file, or it is no image, or it is cut off or too large.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            if width * height <= MAX_PIXELS:
                ending = ENDINGS.get(image.format)
                if ending and not _ends_with(path, ending):
                    image.load()  # some writers leave bytes after the end, so only decoding tells
                orientation = _orientation(image)
    except UnidentifiedImageError:  # OpenCV reads a few formats more
        image = decode(path)
        if image is None:
            raise ImageError(f'{path} cannot be read as an image') from None
        return image.shape[1], image.shape[0], 1
    except FileNotFoundError:
        raise ImageError(f'there is no image {path}') from None
    except Image.DecompressionBombError as error:
        raise ImageError(f'{path} is too large ({error}): cut it into pieces or shrink it') from None
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow's readers raise on broken files
        raise ImageError(f'{path} cannot be read as an image: {error}') from None
    if width * height > MAX_PIXELS:
        raise ImageError(f'{path} has {width}x{height} px, and at most {MAX_PIXELS / 1e6:.0f} million are decoded: cut '
                         'it into pieces or shrink it')
    return (width, height, orientation) if orientation < 5 else (height, width, orientation)


def image_size(path: str | Path) -> tuple[int, int]:
    """The width and height of :func:`image_header`."""
    return image_header(path)[:2]


def _orientation(image: Image.Image) -> int:
    if image.format == 'AVIF':  # which OpenCV leaves as it is
        return 1
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # Pillow raises what its parser runs into; OpenCV ignores such data
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1  # OpenCV does not understand it as text


def decode(path: str | Path, flags: int = cv2.IMREAD_COLOR) -> np.ndarray | None:
    """The pixels of an image as mmcv decodes it, (H, W, 3) uint8 in BGR; None where it cannot be."""
    try:
        return cv2.imdecode(np.fromfile(path, np.uint8), flags)
    except (cv2.error, OSError):
        return None


def _ends_with(path: str | Path, ending: bytes) -> bool:
    with open(path, 'rb') as file:
        file.seek(-min(len(ending), os.path.getsize(path)), os.SEEK_END)
        return file.read() == ending


class SkipsUnreadable:
    """For a data set of mmengine (stand before it): what becomes of images that cannot be read.

    In training another image takes the place of one that cannot be read, with a warning that names it and counts, and
    an error stops the training when more than 5 % of the images are like that. In testing the first one is an error.
    Images of another size than the annotations say are warned of, and so are those that EXIF data turns.

    The tallies lie in shared memory, so that what the workers of a data loader find is known to all.

    Args:
        allow_outside: Whether annotations and links may lead to files outside of the data set's folder.
    """

    def __init__(self, *args, allow_outside: bool = False, **kwargs):
        self.allow_outside = allow_outside
        classes = (kwargs.get('metainfo') or {}).get('classes')
        if isinstance(classes, str) and not os.path.isfile(classes):  # a file of names is read by mmengine
            raise UserError(f'the classes of the data set are the text {classes!r}, not a list of names: write '
                            f'classes=({classes!r},), with a comma')
        super().__init__(*args, **kwargs)

    def full_init(self) -> None:
        if self._fully_initialized:
            return
        super().full_init()
        self.unreadable, self.missized, self.turned = (
            torch.zeros(len(self), dtype=torch.bool).share_memory_() for _ in range(3))

    def filter_data(self) -> list[dict]:
        """See mmengine.

        Raises:
            UserError: If no image is left, or one lies outside of the data.
        """
        data_list = super().filter_data()
        if not data_list:
            raise UserError(f'{self.ann_file or self.data_root} leaves no image to use: it lists none, or none with an '
                            f'annotation and of the size that filter_cfg={self.filter_cfg} asks for')
        if not self.allow_outside:
            roots = [self.data_root] if self.data_root else self.data_prefix.values()
            files = (info[key] for info in data_list for key in FILES if info.get(key))
            require_inside([root for root in roots if root], files)
        return data_list

    def prepare_data(self, idx: int) -> dict | None:
        """The sample through the pipeline; None in training where its image cannot be read.

        Raises:
            ImageError: If it cannot be read in testing, or too many cannot in training.
        """
        info = self.get_data_info(idx)
        try:
            self._compare(idx, info, *image_header(info['img_path']))
            try:
                return super().prepare_data(idx)
            except Exception:
                if decode(info['img_path']) is None:
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

    def _compare(self, idx: int, info: dict, width: int, height: int, orientation: int) -> None:
        noted = info.get('width'), info.get('height')
        if None not in noted and noted != (width, height):
            if not self.missized.any():
                print_log(f'{info["img_path"]} has {width}x{height} px, but {noted[0]}x{noted[1]} in the annotations: '
                          'its boxes may be wrong. Further images of this kind are only counted', 'current',
                          logging.WARNING)
            self.missized[idx] = True
        elif orientation in TURNED and ('instances' in info or 'seg_map_path' in info):
            if not self.turned.any():
                print_log(f'{info["img_path"]} is turned or mirrored as its EXIF orientation {orientation} asks, which '
                          'the annotations may not know of. Further images of this kind are only counted', 'current',
                          logging.WARNING)
            self.turned[idx] = True


def require_inside(roots: Iterable[str], paths: Iterable[str]) -> None:
    """See whether files lie in one of some folders, wherever their names and links lead; without any, all may be read.

    Raises:
        UserError: If one does not.
    """
    roots = [os.path.realpath(root) for root in roots]
    folders = {}
    for path in paths if roots else ():
        folder, name = os.path.split(path)
        if folder not in folders:
            real = os.path.realpath(folder)
            links = {entry.name for entry in os.scandir(real) if entry.is_symlink()} if os.path.isdir(real) else set()
            folders[folder] = real, links
        real, links = folders[folder]
        if name in links or name in ('', '.', '..'):
            real = os.path.dirname(os.path.realpath(path))
        if not any(os.path.commonpath((root, real)) == root for root in roots):
            raise UserError(f'{path} leads to {os.path.realpath(path)}, which is outside of the data ({roots[0]}): if '
                            'that is meant, say --allow-outside')


def report_images(dataset: BaseDataset) -> None:
    """Log how many images of a training set, inside any wrappers, turned out unreadable or of another size."""
    for part in innermost(dataset):
        if not isinstance(part, SkipsUnreadable):
            continue
        if part.unreadable.any():
            paths = [part.get_data_info(int(index))['img_path'] for index in part.unreadable.nonzero()[:5]]
            print_log(f'{int(part.unreadable.sum())} of {len(part)} training images could not be read and were '
                      f'skipped: {", ".join(paths)}{" ..." if part.unreadable.sum() > 5 else ""}',
                      'current', logging.WARNING)
        if part.missized.any():
            print_log(f'{int(part.missized.sum())} of {len(part)} training images have another size than in '
                      f'{part.ann_file}', 'current', logging.WARNING)
        if part.turned.any():
            print_log(f'{int(part.turned.sum())} of {len(part)} training images are turned or mirrored as their EXIF '
                      'data asks', 'current', logging.WARNING)
