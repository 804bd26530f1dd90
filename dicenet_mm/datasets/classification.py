"""Images in class folders."""
import os
from collections.abc import Sequence
from pathlib import Path

from mmengine.registry import DATASETS
from mmpretrain.datasets import CustomDataset
from mmpretrain.datasets.categories import IMAGENET_CATEGORIES

from dicenet_mm.errors import UserError
from dicenet_mm.formats import IMAGE_SUFFIXES

from .files import head, is_litter, walk
from .images import SkipsUnreadable


def class_folders(folder: str | Path) -> dict[str, list[str]]:
    """The classes of a folder of class folders, sorted, each with its images, whose paths start with the class.

    Raises:
        UserError: If the folder has no class folders, or one that is empty or cannot be opened.
    """
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not is_litter(entry.name))
        classes = {name: [os.path.join(name, path) for path in walk(os.path.join(folder, name), IMAGE_SUFFIXES)]
                   for name in names}
    except OSError as error:
        raise UserError(f'{error.filename} cannot be opened ({error.strerror}): mend its permissions, or take it '
                        'away') from None
    if not classes:
        raise UserError(f'there are no class folders in {folder}: put the images of each class into a folder of its '
                        'own, whose name is the name of the class')
    empty = [name for name, images in classes.items() if not images]
    if empty:
        raise UserError(f'{len(empty)} of the {len(classes)} class folders in {folder} have no image '
                        f'({", ".join(IMAGE_SUFFIXES)}): {head(empty)}; put some there, or take the folders away')
    return classes


@DATASETS.register_module()
class ImageFolderDataset(SkipsUnreadable, CustomDataset):
    """mmpretrain's data set of class folders, checked, that skips unreadable images in training.

    Args:
        data_root: The folder that holds a folder of images for each class.
        metainfo: ``dict(classes=...)``, if the order of labels is settled; by default classes are the sorted names of
            the folders. A class may lack a folder, but no folder a class.
        **kwargs: As for mmpretrain's ``CustomDataset``: ``ann_file`` lists images with their labels, one a line.
    """

    def __init__(self, data_root: str, metainfo: dict | None = None, **kwargs):
        super().__init__(data_root=data_root, metainfo=metainfo, **kwargs)

    def _find_samples(self) -> list[tuple[str, int]]:
        folders = class_folders(self.data_root)
        labels = self._labels(tuple(folders))
        return [(path, labels[name]) for name, paths in folders.items() for path in paths]

    def _labels(self, folders: Sequence[str]) -> dict[str, int]:
        self._metainfo.setdefault('classes', folders)
        classes = self._metainfo['classes']
        unknown = [name for name in folders if name not in classes]
        if unknown:
            raise UserError(f'{self.data_root} has class folders of unknown names ({head(unknown)}): the classes are '
                            f'{head(classes)}. Rename or remove them, or train with --data, which reads the names')
        return {name: label for label, name in enumerate(classes)}


@DATASETS.register_module()
class ImageNetFolders(ImageFolderDataset):
    """ImageNet 2012 in class folders: the thousand classes by their English names, whatever the folders are called.

    The folders, sorted, are taken for the classes in the usual order, as the names of their synsets are.
    """

    METAINFO = dict(classes=IMAGENET_CATEGORIES)

    def _labels(self, folders: Sequence[str]) -> dict[str, int]:
        count = len(IMAGENET_CATEGORIES)
        if len(folders) != count:
            raise UserError(f'{self.data_root} has {len(folders)} class folders ({head(folders, 3)}), and ImageNet has '
                            f'{count}: complete it, or use --data, which takes any number of classes')
        return {name: label for label, name in enumerate(folders)}
