"""Pictures of a test."""
from pathlib import Path

import mmcv
import numpy as np
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.visualization import Visualizer


@HOOKS.register_module()
class PicturesHook(Hook):
    """Draws every image of a test with truth and prediction. ``tools/test.py --show-dir`` adds it.

    Args:
        draw: Whether to draw.
        test_out_dir: The folder for the pictures, which are named like the images: by number where a name comes again,
            as in class folders, or there is none.
    """

    def __init__(self, draw: bool = False, test_out_dir: str = 'shown'):
        self.draw, self.folder = draw, Path(test_out_dir)
        self.names = set()

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=()) -> None:
        if not self.draw:
            return
        for sample, pixels in zip(outputs, data_batch['inputs']):
            path = sample.get('img_path')
            if path:
                image = mmcv.imread(path, channel_order='rgb')
            else:  # of a data set of arrays: what the model was given, in BGR
                image = np.ascontiguousarray(pixels.permute(1, 2, 0).byte().numpy(force=True)[..., ::-1])
            name = Path(path).stem if path else ''
            if not name or name in self.names:
                name = f'{name}_{len(self.names):06d}'.lstrip('_')
            self.names.add(name)
            Visualizer.get_current_instance().add_datasample(name, image, sample,
                                                             out_file=str(self.folder / f'{name}.jpg'))
