"""What a data loader of a configuration gives to the model, as pictures."""
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS, VISUALIZERS, init_default_scope
from mmengine.runner import set_random_seed

from dicenet_mm.errors import UserError

FILLING = 12  # samples that fill the memory of CachedMosaic and its like, before which it does nothing
TRIES = 10


def augmented(cfg: Config, split: str = 'train', number: int = 16, times: int = 1,
              seed: int = 0) -> Iterator[tuple[str, np.ndarray]]:
    """Images of a split as its pipeline leaves them, with their truth drawn in.

    Args:
        cfg: Configuration of any task.
        split: ``'train'``, ``'val'`` or ``'test'``.
        number: How many images, or all there are.
        times: How often each goes through the pipeline.
        seed: Of the choice and of the pipeline.

    Yields:
        The name of the image, and its picture, (H, W, 3) uint8 in RGB.

    Raises:
        UserError: If the configuration has no such split, or no image can be read.
    """
    loader = cfg.get(f'{split}_dataloader')
    if not loader:
        raise UserError(f'the configuration has no {split}_dataloader')
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    set_random_seed(seed)
    dataset = DATASETS.build(loader.dataset)
    visualizer = VISUALIZERS.build(dict(cfg.visualizer, name=f'browser-{id(dataset)}', vis_backends=None))
    visualizer.dataset_meta = dataset.metainfo
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(dataset)).tolist()
    if split == 'train' and 'Cached' in str(loader.dataset):
        for index in range(FILLING):
            dataset[order[-1 - index % len(order)]]
    for index in order[:number]:
        for _ in range(times):
            # the data sets of mmengine give None where augmentations leave nothing to see, and training takes another
            item = next((item for _ in range(TRIES) if (item := dataset[index]) is not None), None)
            if item is None:
                continue
            sample, pixels = item['data_samples'], item['inputs']
            image = np.ascontiguousarray(pixels.permute(1, 2, 0).byte().numpy()[..., ::-1])
            name = Path(str(sample.get('img_path') or index)).stem
            visualizer.add_datasample(name, image, sample, draw_gt=True, draw_pred=False)
            yield name, visualizer.get_image()
