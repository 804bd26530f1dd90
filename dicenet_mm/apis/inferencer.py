"""Prediction on images in memory, for any task."""
from collections.abc import Sequence

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.device import get_device
from mmengine.registry import MODELS, VISUALIZERS, init_default_scope
from mmengine.structures import BaseDataElement

from dicenet_mm.errors import UserError
from dicenet_mm.evaluation import to_plain
from dicenet_mm.fuse import fuse

from .config import load_config
from .weights import load_weights, read_checkpoint


class Inferencer:
    """A trained model that takes images and gives what it found, as data samples, plain data or pictures.

    Args:
        weights: Checkpoint.
        config: Configuration; the one that the checkpoint carries by default.
        device: ``'cpu'``, ``'cuda'``, ``'cuda:1'``; a GPU where there is one by default.
        fused: Whether to switch the model to its inference form (:func:`dicenet_mm.fuse`).

    Raises:
        UserError: If a file is missing, or checkpoint and configuration do not fit each other.

    Example:
        >>> inferencer = Inferencer('work_dirs/ssd_dicenet_300_coco/epoch_100.pth')  # doctest: +SKIP
        >>> found, = inferencer.predict([mmcv.imread('street.jpg')])                 # doctest: +SKIP
        >>> inferencer.plain(found)['detections'][0]                                 # doctest: +SKIP
        {'label': 'car', 'score': 0.9312, 'bbox': [12.1, 80.3, 140.9, 160.0]}
    """

    def __init__(self, weights: str, config: str | None = None, device: str | None = None, fused: bool = True):
        checkpoint = read_checkpoint(weights)
        meta = checkpoint.get('meta', {})
        if config:
            self.cfg = load_config(config)
        elif 'cfg' in meta:
            self.cfg = Config.fromstring(meta['cfg'], file_format='.py')
        else:
            raise UserError(f'{weights} does not carry its configuration: give it with --config')
        init_default_scope(self.cfg.get('default_scope', 'mmengine'))
        model = MODELS.build(self.cfg.model)
        load_weights(model, checkpoint, weights)
        model.to(device or get_device()).eval()
        self.model = fuse(model) if fused else model
        #: Class names, and colours where the data set has them.
        self.dataset_meta = meta.get('dataset_meta') or {}
        if 'classes' not in self.dataset_meta:
            raise UserError(f'{weights} carries no class names: use a checkpoint that tools/train.py has written')
        self.pipeline = Compose([step for step in self.cfg.test_dataloader.dataset.pipeline
                                 if not step['type'].startswith('Load')])
        self.visualizer = VISUALIZERS.build(dict(self.cfg.visualizer, name=f'inferencer-{id(self)}', vis_backends=None))
        self.visualizer.dataset_meta = self.dataset_meta

    @torch.inference_mode()
    def predict(self, images: Sequence[np.ndarray]) -> list[BaseDataElement]:
        """Predict on a batch of images, each (H, W, 3) uint8 in BGR; boxes and masks are in their own pixels."""
        data = [self.pipeline(dict(img=image, img_path='', img_id=index, img_shape=image.shape[:2],
                                   ori_shape=image.shape[:2])) for index, image in enumerate(images)]
        return self.model.test_step(pseudo_collate(data))

    def plain(self, sample: BaseDataElement, score_thr: float = 0.) -> dict:
        """A prediction as numbers and text (see :func:`dicenet_mm.evaluation.to_plain`)."""
        return to_plain(sample.to_dict(), self.dataset_meta['classes'], score_thr)

    def draw(self, image: np.ndarray, sample: BaseDataElement, score_thr: float = 0.3) -> np.ndarray:
        """The image with a prediction drawn into it, (H', W', 3) uint8 in BGR."""
        scored = {} if 'pred_sem_seg' in sample else dict(pred_score_thr=score_thr)
        self.visualizer.add_datasample('', image[..., ::-1], sample, draw_gt=False, **scored)
        return self.visualizer.get_image()[..., ::-1]
