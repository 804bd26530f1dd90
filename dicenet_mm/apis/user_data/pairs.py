"""Images and their masks."""
from dataclasses import dataclass
from pathlib import Path

from dicenet_mm.datasets.files import is_litter
from dicenet_mm.datasets.segmentation import mask_values

from ..inputs import IMAGES

BESIDE = '_mask.png'  # what Roboflow puts behind an image's name for the mask that lies beside it


@dataclass
class Pairs:
    """A folder of images, that of their masks, and what the masks' names have after the images' stems."""
    images: Path
    masks: Path
    mask_suffix: str
    names: list[str]

    def values(self) -> dict[str, frozenset[int]]:
        """The values in the mask of each image; reads all of them."""
        files = {path.stem: path for path in pictures(self.images)}
        return {name: mask_values(str(files[name]), str(self.masks / f'{name}{self.mask_suffix}'))
                for name in self.names}


def pictures(folder: Path) -> list[Path]:
    """The images of a folder, without the masks that may lie beside them."""
    found = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in IMAGES and not is_litter(path.name)]
    masks = {path.name for path in found if path.name.endswith(BESIDE)}
    return [path for path in found if path.name not in masks or f'{path.stem}{BESIDE}' in masks]
