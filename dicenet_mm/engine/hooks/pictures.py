"""Pictures of a test."""
from pathlib import Path

import mmcv
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.visualization import Visualizer


@HOOKS.register_module()
class PicturesHook(Hook):
    """Draws every image of a test, truth and prediction side by side. ``tools/test.py --show-dir`` adds it.

    Args:
        draw: Whether to draw.
        test_out_dir: The folder for the pictures, which are named like the images.
    """

    def __init__(self, draw: bool = False, test_out_dir: str = 'shown'):
        self.draw, self.folder = draw, Path(test_out_dir)

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=()) -> None:
        if not self.draw:
            return
        for sample in outputs:
            path = Path(sample.img_path)
            image = mmcv.imread(path, channel_order='rgb')
            Visualizer.get_current_instance().add_datasample(path.stem, image, sample,
                                                             out_file=str(self.folder / f'{path.stem}.jpg'))
