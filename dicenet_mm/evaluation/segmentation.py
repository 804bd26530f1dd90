"""Mean intersection over union, and masks as files."""
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS
from mmseg.evaluation import IoUMetric
from PIL import Image

from .tables import tell_absent


@METRICS.register_module()
class MeanIoU(IoUMetric):
    """mmseg's metric, with the IoU of each class that occurs among masks or results. Values are in percent.

    Args:
        **kwargs: As for mmseg's ``IoUMetric``.
    """

    def total_area_to_metrics(self, *areas, **kwargs) -> dict:
        metrics = super().total_area_to_metrics(*areas, **kwargs)
        absent = areas[3].numpy() == 0
        # Published figures count these as 0, so this one does, too, and says so.
        tell_absent([name for name, none in zip(self.dataset_meta['classes'], absent) if none],
                    'each counts as 0 in the mean if it is found all the same, and not at all otherwise')
        self.ious = metrics['IoU']
        return metrics

    def compute_metrics(self, results: list) -> dict[str, float]:
        """``{'mIoU': mean, 'aAcc': pixel accuracy, 'mAcc': mean class accuracy, 'IoU/<class>': ...}``."""
        metrics = super().compute_metrics(results)
        ious = zip(self.dataset_meta['classes'], 100 * self.ious)
        metrics.update((f'IoU/{name}', iou) for name, iou in ious if not np.isnan(iou))
        # the main one first, and as plain numbers with the digits that mmseg means to give
        return {name: round(float(metrics[name]), 2) for name in sorted(metrics, key=lambda name: name != 'mIoU')}


@METRICS.register_module()
class MaskDump(BaseMetric):
    """Writes every prediction of a test as a palette PNG, named like its image, instead of measuring it.

    Args:
        out_dir: The folder.
        **kwargs: As for every metric of mmengine.
    """

    default_prefix = 'masks'

    def __init__(self, out_dir: str, **kwargs):
        super().__init__(**kwargs)
        self.out_dir = Path(out_dir)

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            save_mask(sample['pred_sem_seg']['data'].squeeze(0).numpy(force=True), self.dataset_meta.get('palette'),
                      self.out_dir / f'{Path(sample["img_path"]).stem}.png')
            self.results.append(1)

    def compute_metrics(self, results: list[int]) -> dict[str, int]:
        return dict(images=len(results))


def save_mask(mask: np.ndarray, palette: Sequence[Sequence[int]] | None, path: Path) -> None:
    """Write class indices as a PNG with a palette, which viewers show in colour.

    Args:
        mask: (H, W), class of each pixel, 0 to 255.
        palette: (R, G, B) of each class; grey without it.
        path: The file; its folder is made.
    """
    image = Image.fromarray(mask.astype(np.uint8))
    if palette is not None:
        levels = [int(level) for colour in palette for level in colour]
        # all 256, since Pillow takes as few bits a pixel as the palette needs; 255, ignored, is white
        image.putpalette((levels + [224] * 768)[:765] + [255] * 3)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def segments(mask: np.ndarray, classes: Sequence[str]) -> list[dict]:
    """The classes of a mask (H, W) with their shares of its pixels, 0 to 1, the largest first."""
    counts = np.bincount(mask.ravel(), minlength=len(classes))[:len(classes)]
    return [dict(label=classes[label], share=round(float(counts[label] / mask.size), 4))
            for label in np.argsort(-counts, kind='stable') if counts[label]]
