"""A model as one object: trained, tested, tried and exported by the functions that the tools call."""
from functools import cached_property
from pathlib import Path

from dicenet_mm.errors import UserError
from dicenet_mm.paths import find_config, own_configs

from .evaluate import EvaluateOptions, evaluate
from .export import ExportOptions, export_model
from .inferencer import Inferencer
from .train import Trained, TrainOptions, train
from .trained import find_model, named_checkpoint

#: What trains on data of one's own where nothing else was named, by the ``default_scope`` of a network.
SMALL_DATA = dict(mmdet='rtm_dicenet_320_small_data', mmseg='segmentation_dicenet_small_data',
                  mmpretrain='classification_dicenet_small_data')


class Model:
    """A network with its weights.

    Args:
        name: What is to be trained: a configuration, by its file or the name of one of the toolkit's own
            (``'ssd_dicenet_300_coco'``). Or weights: a file, a name of published ones
            (``'edgenets/espnetv2-2.0-coco-300'``), an address, a work directory, or its name in ``work_dirs``. The
            built-in detector by default.
        config: The configuration that goes with weights, for training and testing. By default that of the task for
            small data: ``rtm_dicenet_320_small_data`` and its like.
        device: For predictions: ``'cpu'``, ``'cuda'``, ``'cuda:1'``; a GPU where there is one by default.

    Attributes:
        weights: The checkpoint, None before a training; afterwards its best one.

    Raises:
        UserError: If there is no such configuration or checkpoint.

    Example:
        >>> model = Model()                                             # doctest: +SKIP
        >>> model.predict('street.jpg')                                 # doctest: +SKIP
        >>> model.train(data='my_data', epochs=20)                      # doctest: +SKIP
        >>> model.val(data='my_data')['coco/bbox_mAP']                  # doctest: +SKIP
        >>> model.predict(['film.mp4', 'photos/'], out_dir='found')     # doctest: +SKIP
        >>> model.export(format=['onnx'])                               # doctest: +SKIP
    """

    def __init__(self, name: str | Path | None = None, config: str | Path | None = None, device: str | None = None):
        self.device, self.weights = device, None
        self._config = str(config) if config else None
        if name is None:
            self.weights = str(find_model(None))
        elif Path(name).suffix == '.py' or str(name) in own_configs():
            self._config = str(config or name)
        else:
            self.weights = named_checkpoint(str(name))
        if self._config:
            find_config(self._config)

    @property
    def config(self) -> str:
        """The configuration that trains and tests."""
        return self._config or SMALL_DATA[self.inferencer.network.default_scope]

    @cached_property
    def inferencer(self) -> Inferencer:
        """What predicts, with the present weights.

        Raises:
            UserError: If there are none.
        """
        if self.weights is None:
            raise UserError(f'{self._config} is a configuration, which has no weights yet: train() it, or give a '
                            'checkpoint')
        return Inferencer(self.weights, device=self.device)

    def train(self, data: str | Path | None = None, **options) -> Trained:
        """Train, and go on with the best weights.

        Args:
            data: A folder of data of one's own; the configuration's by default.
            **options: As for :class:`TrainOptions`. ``start`` is the present weights where the model has any.

        Raises:
            UserError: As the tool says it.
        """
        chosen = dict(config=self.config, data=_text(data), **options)
        if self.weights and not chosen.get('resume'):
            chosen.setdefault('start', self.weights)
        made = TrainOptions(**chosen)
        made.check()
        found = train(made)
        self._config = made.config
        if found.checkpoint:
            self.weights = str(found.checkpoint)
            self.__dict__.pop('inferencer', None)
        return found

    def val(self, data: str | Path | None = None, **options) -> dict[str, float]:
        """Measure the present weights.

        Args:
            data: A folder of data of one's own; the configuration's by default.
            **options: As for :class:`EvaluateOptions`.

        Returns:
            The metrics by name.

        Raises:
            UserError: As the tool says it.
        """
        if self.weights is None:
            self.inferencer  # noqa: B018 (which says what is missing)
        made = EvaluateOptions(self.config, self.weights, _text(data), **options)
        made.check()
        return evaluate(made)

    def predict(self, inputs=None, **options) -> list:
        """Find things in images, films, folders, streams, arrays.

        Args:
            inputs: One or a list; two photographs that come with the package by default.
            **options: As for :meth:`Inferencer.__call__`: ``batch_size``, ``out_dir``, ``return_datasamples`` ...

        Returns:
            An entry an image or frame, ``{'input': ..., 'detections': [{'label', 'score', 'bbox'}], ...}``.
        """
        if inputs is None:
            from dicenet_mm.datasets import sample_photographs
            inputs = sample_photographs()
        return self.inferencer(inputs, **options)['predictions']

    __call__ = predict

    def export(self, format='onnx', **options) -> list[dict]:
        """Write files for other engines.

        Args:
            format: One or several of ``'onnx'``, ``'openvino'``, ``'ncnn'``, ``'pt2'``, ``'aotinductor'``.
            **options: As for :class:`ExportOptions`.

        Returns:
            A row a file with its path and how far it is from the model.
        """
        if self.weights is None:
            self.inferencer  # noqa: B018 (which says what is missing)
        if {'data', 'verify', 'cfg_options'} & options.keys():
            options.setdefault('config', self.config)
        return export_model(ExportOptions(self.weights, format=[format] if isinstance(format, str) else format,
                                          **options))


def _text(path: str | Path | None) -> str | None:
    return None if path is None else str(path)
