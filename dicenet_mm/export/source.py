"""The model to export and the data that it is measured and calibrated with."""
from collections.abc import Sequence
from copy import deepcopy

import cv2
import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import Evaluator
from mmengine.registry import DATASETS, init_default_scope
from torch.utils.data import DataLoader, Subset

from dicenet_mm.apis import Inferencer, expand_inputs
from dicenet_mm.errors import UserError

PICTURES = ((240, 320), (500, 375))  # height, width, px


class Source:
    """A trained model with its pictures.

    Args:
        inferencer: The model, on the CPU and not fused.
        cfg: The configuration with the data that is measured and calibrated on. Without it neither is possible.

    Raises:
        UserError: If the size of prepared images depends on the picture.
    """

    def __init__(self, inferencer: Inferencer, cfg: Config | None = None):
        self.model, self.meta, self.network = inferencer.model, inferencer.dataset_meta, inferencer.network
        self.pipeline, self.cfg = inferencer.pipeline, cfg
        sizes = {tuple(self.prepare([np.zeros((*size, 3), np.uint8)]).shape[2:]) for size in PICTURES}
        if len(sizes) > 1:
            raise UserError('the test pipeline makes images of several sizes, and an exported file takes one: set '
                            'keep_ratio=False in its Resize, or add a Pad with a fixed size')
        #: Height and width of the prepared images, px.
        self.size: tuple[int, int] = sizes.pop()

    def prepare(self, pictures: Sequence[np.ndarray]) -> torch.Tensor:
        """Pictures (H, W, 3) uint8 in BGR, as the model's layers see them: (N, 3, *size)."""
        data = [self.pipeline(dict(img=picture, img_path='', img_id=index, img_shape=picture.shape[:2],
                                   ori_shape=picture.shape[:2])) for index, picture in enumerate(pictures)]
        return self.model.data_preprocessor(pseudo_collate(data))['inputs']

    def calibration(self, count: int, folder: str | None = None) -> list[np.ndarray]:
        """Prepared images (1, 3, H, W) float32 to set the ranges of an int8 network by.

        Args:
            count: How many, evenly from all there are.
            folder: Where pictures lie; the training images of the configuration by default.

        Raises:
            UserError: If there are none.
        """
        init_default_scope(self.cfg.get('default_scope', 'mmengine'))
        if folder:
            files = expand_inputs([folder])
            pictures = (cv2.imread(str(files[index])) for index in spread(len(files), count))
            return [self.prepare([picture]).numpy() for picture in pictures if picture is not None]
        dataset = deepcopy(self._data('train_dataloader').dataset)
        _set_pipeline(dataset, self.cfg.test_dataloader.dataset.pipeline)
        try:
            built = DATASETS.build(dataset)
        except (OSError, UserError) as error:  # no such data here
            raise UserError(f'int8 needs pictures to set its ranges by, and the training data cannot be read ({error}):'
                            ' give a folder of pictures with --calibrate') from error
        return [self.model.data_preprocessor(pseudo_collate([built[index]]))['inputs'].numpy()
                for index in spread(len(built), count)]

    def measured(self, predictors: dict, count: int, batch_size: int = 4) -> dict[str, dict[str, float]]:
        """The metrics of the configuration, on the same pictures of its test data, of several ways to predict.

        Args:
            predictors: By name, what makes samples with predictions of prepared images (N, 3, H, W) and the samples.
            count: How many pictures, evenly from all there are.
            batch_size: Pictures at a time.
        """
        init_default_scope(self.cfg.get('default_scope', 'mmengine'))
        dataset = DATASETS.build(self.cfg.test_dataloader.dataset)
        places = spread(len(dataset), count)
        loader = DataLoader(Subset(dataset, places), batch_size, collate_fn=pseudo_collate)
        evaluators = {}
        for name in predictors:
            evaluators[name] = Evaluator(self.cfg.test_evaluator)
            evaluators[name].dataset_meta = dataset.metainfo
            for metric in evaluators[name].metrics:
                if getattr(metric, '_coco_api', None) is not None:  # images that were left out are not missed
                    metric.img_ids = [dataset.get_data_info(place)['img_id'] for place in places]
                    metric.cat_ids = metric._coco_api.get_cat_ids(cat_names=dataset.metainfo['classes'])
        for data in loader:
            for name, predict in predictors.items():
                prepared = self.model.data_preprocessor(deepcopy(data))
                with torch.no_grad():
                    samples = predict(prepared['inputs'], prepared['data_samples'])
                evaluators[name].process(data_samples=samples, data_batch=data)
        return {name: evaluator.evaluate(len(places)) for name, evaluator in evaluators.items()}

    def _data(self, key: str) -> ConfigDict:
        if self.cfg is None:
            raise UserError('the checkpoint does not say where its data is: give the configuration with --config' +
                            (', or pictures with --calibrate' if key == 'train_dataloader' else ''))
        return self.cfg[key]


def spread(total: int, count: int) -> list[int]:
    """``count`` of ``total`` places, or all of them, at even distances: lists are often sorted by class."""
    return np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(int)).tolist()


def _set_pipeline(dataset: ConfigDict, pipeline: Sequence[dict]) -> None:
    """Read training images as those of the test are read, also inside data sets that hold others."""
    if 'pipeline' in dataset:
        dataset.pipeline = pipeline
    for part in [*dataset.get('datasets', ()), *([dataset.dataset] if 'dataset' in dataset else ())]:
        _set_pipeline(part, pipeline)
    if not {'datasets', 'dataset', 'pipeline'} & dataset.keys():
        dataset.pipeline = pipeline
