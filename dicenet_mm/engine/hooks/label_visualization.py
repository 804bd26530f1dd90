"""Pictures of a classifier's test."""
from pathlib import Path

import mmcv
import numpy as np
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.visualization import Visualizer


@HOOKS.register_module()
class LabelVisualizationHook(Hook):
    """Draws every image of a test with its labels, true and predicted. ``tools/test.py --show-dir`` adds it.

    Args:
        draw: Whether to draw.
        test_out_dir: The folder for the pictures, which are named by their number and image.
    """

    def __init__(self, draw: bool = False, test_out_dir: str = 'shown'):
        self.draw, self.folder = draw, Path(test_out_dir)
        self.count = 0

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=()) -> None:
        if not self.draw:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        for sample, pixels in zip(outputs, data_batch['inputs']):
            path = sample.get('img_path')
            if path:
                image = mmcv.imread(path, channel_order='rgb')
            else:  # a data set of arrays: what the model was given, in BGR
                image = np.ascontiguousarray(pixels.permute(1, 2, 0).byte().numpy(force=True)[..., ::-1])
            name = f'{self.count:06d}' + (f'_{Path(path).stem}' if path else '')
            Visualizer.get_current_instance().add_datasample(name, image, sample,
                                                             out_file=str(self.folder / f'{name}.jpg'))
            self.count += 1
