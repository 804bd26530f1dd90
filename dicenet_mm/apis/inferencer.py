"""Prediction on images in memory, for any task."""
from collections.abc import Sequence

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.device import get_device
from mmengine.registry import VISUALIZERS
from mmengine.structures import BaseDataElement

from dicenet_mm.checkpoint import Network, dataset_meta, read_checkpoint
from dicenet_mm.errors import UserError
from dicenet_mm.evaluation import to_plain
from dicenet_mm.inference.fuse import fuse

from .arrays import ImageLike, to_arrays
from .config import load_config
from .weights import load_weights, require_converted


class Inferencer:
    """A trained model that takes images and gives what it found, as data samples, plain data or pictures.

    Args:
        weights: Checkpoint: a file, an address, or a name of published weights, ``edgenets/dicenet-1.0-voc-384``, as
            :func:`dicenet_mm.checkpoint.read_checkpoint` takes them.
        config: Configuration; by default the checkpoint says itself which network it is of, as data.
        device: ``'cpu'``, ``'cuda'``, ``'cuda:1'``; a GPU where there is one by default.
        fused: Whether to switch the model to its inference form (:func:`dicenet_mm.fuse`).
        trust: Whether to run the configuration text of a checkpoint that does not describe its network as data. Such
            text is Python code of whoever made the file.

    Raises:
        UserError: If a file is missing, checkpoint and configuration do not fit each other, or the checkpoint does not
            describe its network.

    Example:
        >>> inferencer = Inferencer('work_dirs/ssd_dicenet_300_coco/epoch_100.pth')  # doctest: +SKIP
        >>> found, = inferencer.predict('street.jpg')                                # doctest: +SKIP
        >>> inferencer.plain(found)['detections'][0]                                 # doctest: +SKIP
        {'label': 'car', 'score': 0.9312, 'bbox': [12.1, 80.3, 140.9, 160.0]}
    """

    def __init__(self, weights: str, config: str | None = None, device: str | None = None, fused: bool = True,
                 trust: bool = False):
        checkpoint = read_checkpoint(weights)
        require_converted(checkpoint, weights)
        #: What the checkpoint, or the configuration, says of the network.
        self.network = Network.from_config(load_config(config)) if config else _described(checkpoint, weights, trust)
        model = self.network.build(checkpoint.get('state_dict', checkpoint))
        load_weights(model, checkpoint, weights)
        model.to(device or get_device()).eval()
        self.model = fuse(model) if fused else model
        #: Class names, and colours where the data set has them.
        self.dataset_meta = dataset_meta(checkpoint, weights)
        if not self.dataset_meta:
            raise UserError(f'{weights} carries no class names: use a checkpoint that tools/train.py has written')
        self.pipeline = Compose(self.network.pipeline)
        self.visualizer = VISUALIZERS.build(
            dict(self.network.visualizer, name=f'inferencer-{id(self)}', vis_backends=None))
        self.visualizer.dataset_meta = self.dataset_meta

    @torch.inference_mode()
    def predict(self, images: ImageLike | Sequence[ImageLike]) -> list[BaseDataElement]:
        """Predict on one image or a batch of them; boxes and masks are in their own pixels.

        Args:
            images: Files, arrays (H, W, 3) uint8 in BGR or (H, W), or pictures of Pillow (see
                :func:`dicenet_mm.apis.arrays.to_arrays`).

        Returns:
            A data sample for each, also for a single one.

        Raises:
            UserError: If something is no image, or cannot be read.
        """
        data = [self.pipeline(dict(img=image, img_path='', img_id=index, img_shape=image.shape[:2],
                                   ori_shape=image.shape[:2])) for index, image in enumerate(to_arrays(images))]
        return self.model.test_step(pseudo_collate(data)) if data else []

    def plain(self, sample: BaseDataElement, score_thr: float = 0.) -> dict:
        """A prediction as numbers and text (see :func:`dicenet_mm.evaluation.to_plain`)."""
        return to_plain(sample.to_dict(), self.dataset_meta['classes'], score_thr)

    def draw(self, image: np.ndarray, sample: BaseDataElement, score_thr: float = 0.3) -> np.ndarray:
        """The image with a prediction drawn into it, (H', W', 3) uint8 in BGR."""
        scored = {} if 'pred_sem_seg' in sample else dict(pred_score_thr=score_thr)
        self.visualizer.add_datasample('', image[..., ::-1], sample, draw_gt=False, **scored)
        return self.visualizer.get_image()[..., ::-1]


def _described(checkpoint: dict, weights: str, trust: bool) -> Network:
    """The network of a checkpoint, from what it says of itself."""
    meta = checkpoint.get('meta') or {}
    if 'network' in meta:
        try:
            return Network.from_plain(meta['network'])
        except UserError as error:
            raise UserError(f'{weights} describes a network that is not built from a description: {error}. Give its '
                            'configuration with --config') from error
    if isinstance(meta.get('cfg'), str):
        if trust:
            return Network.from_config(Config.fromstring(meta['cfg'], file_format='.py'))
        raise UserError(f'{weights} carries its configuration only as Python code, which is not run: give the '
                        'configuration with --config, or --trust if you know who made the file')
    raise UserError(f'{weights} does not say which network it is of: give its configuration with --config')
