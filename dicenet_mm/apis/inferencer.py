"""Prediction, for any task: on images in memory, and on whatever people type."""
from collections.abc import Sequence
from pathlib import Path

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
from .inputs import find_inputs
from .results import require_new_results
from .trained import find_model, named_checkpoint
from .weights import load_weights, require_converted


class Inferencer:
    """A trained model that takes images and gives what it found, as data samples, plain data or pictures.

    Args:
        weights: Checkpoint: a file, an address, a name of published weights, ``edgenets/dicenet-1.0-voc-384``, or a
            work directory or its name in ``work_dirs``, whose best one is taken. The built-in detector by default.
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
        >>> inferencer(['street.jpg', 'film.mp4'], batch_size=4, out_dir='found')    # doctest: +SKIP
    """

    def __init__(self, weights: str | Path | None = None, config: str | None = None, device: str | None = None,
                 fused: bool = True, trust: bool = False):
        weights = named_checkpoint(str(weights)) if weights else str(find_model(None))
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

    def __call__(self, inputs, batch_size: int = 1, out_dir: str | Path = '', return_datasamples: bool = False,
                 return_vis: bool = False, show: bool = False, pred_score_thr: float = 0.3) -> dict:
        """Predict on inputs of any kind, by the habits of OpenMMLab's inferencers (mmengine's ``BaseInferencer``).

        Args:
            inputs: An image or a list of them: files, folders, patterns, addresses, numbers of cameras, films, streams,
                arrays (H, W, 3) uint8 in BGR, pictures of Pillow.
            batch_size: Images at a time.
            out_dir: Where predictions and pictures are saved (:func:`dicenet_mm.apis.annotate`); nowhere by default.
            return_datasamples: Whether predictions are data samples, with everything that was found whatever its
                score, instead of plain data.
            return_vis: Whether to return pictures.
            show: Whether to show them in a window.
            pred_score_thr: What scores less is left out of plain data and pictures.

        Returns:
            ``{'predictions': one an image or frame, 'visualization': pictures (H', W', 3) uint8 in RGB, or []}``.

        Raises:
            UserError: If an input leads nowhere, or none can be read.
        """
        from .annotate import annotate  # which needs this module

        several = isinstance(inputs, (list, tuple)) or isinstance(inputs, np.ndarray) and inputs.ndim == 4
        if out_dir:
            require_new_results(out_dir)
        out = dict(predictions=[], visualization=[])
        for entry, sample, picture in annotate(self, find_inputs(inputs if several else [inputs]), out_dir,
                                               pred_score_thr, batch_size, show):
            out['predictions'].append(sample if return_datasamples else entry)
            if return_vis:
                out['visualization'].append(picture[..., ::-1].copy())
        return out

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
