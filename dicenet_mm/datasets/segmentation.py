"""mmseg's data sets, with masks that are checked as they are read."""
import os
from collections import Counter
from functools import lru_cache
from pathlib import Path

import numpy as np
from mmengine.registry import DATASETS, TRANSFORMS
from mmseg.datasets import BaseSegDataset, CityscapesDataset, PascalVOCDataset
from mmseg.datasets.transforms import LoadAnnotations
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from .digit_scenes import CLASSES, PALETTE, generate
from .files import head, is_litter
from .images import IMAGE_SUFFIXES, DataError, ImageError, SkipsUnreadable, image_size

IGNORED = 255  # the value of pixels that neither train nor count


LOSSY = ('JPEG', 'MPO', 'JPEG2000', 'WEBP')


class MaskError(DataError):
    """A mask can be read, but is not what it should be."""


@TRANSFORMS.register_module()
class LoadMask(LoadAnnotations):
    """mmseg's ``LoadAnnotations``, which refuses masks that would be misread.

    Raises:
        ImageError: If the mask is missing or cannot be read.
        MaskError: If it is no index mask, or of another size than its image, or has a class that there is not.
    """

    def _load_seg_map(self, results: dict) -> None:
        path = results['seg_map_path']
        try:
            wrong = _not_indices(path)
            if not wrong:
                super()._load_seg_map(results)
        except FileNotFoundError:
            raise ImageError(f'there is no mask {path}') from None
        except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
            raise ImageError(f'{path} cannot be read as a mask: {error}') from None
        if wrong:
            raise MaskError(f'{path} {wrong}, not a mask of class indices: save it as a grey or palette PNG in which '
                            'each pixel is the number of its class')
        mask, size = results['gt_seg_map'], tuple(results['ori_shape'][:2])
        if mask.shape != size:
            raise MaskError(f'{path} has {mask.shape[1]}x{mask.shape[0]} px, but its image {results["img_path"]} has '
                            f'{size[1]}x{size[0]}: each pixel of the image needs its own in the mask')
        classes = results['num_classes']
        wrong = mask[(mask >= classes) & (mask != IGNORED)]
        if wrong.size:
            values = ', '.join(str(value) for value in np.unique(wrong)[:5])
            raise MaskError(f'{path} has {wrong.size} pixels of class {values}, but the classes are 0 to {classes - 1} '
                            f'({IGNORED} is ignored): give the right classes, or mend the mask')


def _not_indices(path: str) -> str | None:
    """What an image file is if no index mask."""
    with Image.open(path) as mask:
        if mask.format in LOSSY:
            values = np.unique(np.asarray(mask))
            return (f'is a {mask.format} file, whose compression changes the values (it holds {len(values)}: '
                    f'{head(values, 8)})')
        if mask.mode in ('1', 'L', 'P'):
            return None
        if mask.mode.startswith('I'):  # 16 or 32 bits a pixel, of which mmseg keeps 8
            return None if np.asarray(mask).max() <= IGNORED else f'has values above {IGNORED}'
        return f'is a colour picture ({mask.mode})'


def mask_values(image: str, mask: str, classes: int = IGNORED, reduce_zero_label: bool = False) -> frozenset[int]:
    """The values in a mask that fits its image. While it stays as it is, it is read once for each number of classes.

    Raises:
        ImageError: If the image or the mask cannot be read.
        MaskError: If the mask is wrong.
    """
    state = os.stat(mask).st_mtime_ns if os.path.isfile(mask) else 0
    return _values(image, mask, classes, reduce_zero_label, state)


@lru_cache(maxsize=2**17)
def _values(image: str, mask: str, classes: int, reduce_zero_label: bool, _state: int) -> frozenset[int]:
    width, height = image_size(image)
    found = LoadMask()(dict(img_path=image, seg_map_path=mask, ori_shape=(height, width), num_classes=classes,
                            reduce_zero_label=reduce_zero_label, seg_fields=[]))
    return frozenset(np.unique(found['gt_seg_map']).tolist())


@DATASETS.register_module()
class CheckedSegDataset(SkipsUnreadable, BaseSegDataset):
    """mmseg's base of segmentation data sets, which knows its images by name whatever their suffix.

    Masks are loaded with :class:`LoadMask`. In training an image or a mask that cannot be read is skipped, a wrong mask
    is an error.
    """

    def load_data_list(self) -> list[dict]:
        """See mmseg."""
        data_list = [info for info in super().load_data_list()
                     if Path(info['img_path']).name != self.img_suffix]  # blank lines of the list
        names = {}
        for info in data_list:
            path = Path(info['img_path'])
            folder = path.parent
            if folder not in names:
                names[folder] = {entry.stem: entry for entry in sorted(folder.glob('*'))
                                 if entry.suffix.lower() in IMAGE_SUFFIXES and not is_litter(entry.name)}
            if names[folder].get(path.stem, path).name != path.name and not path.exists():
                info['img_path'] = str(names[folder][path.stem])
            info['num_classes'] = len(self.metainfo['classes'])
        return data_list

    def count_images(self) -> Counter:
        """How many images each class occurs in; reads every mask.

        Raises:
            ImageError: If an image or a mask cannot be read.
            MaskError: If a mask is wrong.
        """
        counts, classes = Counter(), len(self.metainfo['classes'])
        for info in tqdm([self.get_data_info(index) for index in range(len(self))], desc='masks', delay=3, leave=False):
            counts.update(mask_values(info['img_path'], info['seg_map_path'], classes,
                                      info['reduce_zero_label']) - {IGNORED})
        return counts


@DATASETS.register_module()
class VOCSegDataset(CheckedSegDataset):
    """PASCAL VOC: 20 classes and the background."""
    METAINFO = PascalVOCDataset.METAINFO


@DATASETS.register_module()
class CityscapesSegDataset(CheckedSegDataset):
    """Cityscapes: its 19 classes, with masks of their training numbers."""
    METAINFO = CityscapesDataset.METAINFO

    def __init__(self, img_suffix: str = '_leftImg8bit.png', seg_map_suffix: str = '_gtFine_labelTrainIds.png',
                 **kwargs):
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)


@DATASETS.register_module()
class DigitScenesSegDataset(CheckedSegDataset):
    """DigitScenes for segmentation, generated where it is missing: ten digits and the background.

    Args:
        data_root (str, optional): parent of the scenes' folder. Default: :func:`default_root`.
        scenes (dict, optional): ``train``, ``val``, ``size`` and ``seed`` of :func:`generate`.
        **kwargs: of ``CheckedSegDataset``; ``ann_file`` and ``data_prefix`` are relative to the scenes' folder.
    """
    METAINFO = dict(classes=('background', *CLASSES), palette=[(0, 0, 0), *PALETTE])

    def __init__(self, data_root=None, scenes=None, **kwargs):
        super().__init__(data_root=str(generate(data_root, **(scenes or {}))), **kwargs)
