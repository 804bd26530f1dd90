"""What a checkpoint says of its own network, as data."""
import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS, TASK_UTILS, VISUALIZERS, Registry, init_default_scope
from torch import nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)

from dicenet_mm.errors import UserError, printable

SCOPES = ('mmengine', 'mmdet', 'mmseg', 'mmpretrain')
#: Where the classes are defined that a checkpoint may ask for: networks and their parts.
MODULES = (
    'dicenet_mm.models', 'dicenet_mm.visualization', 'torch.nn.modules', 'mmcv.cnn.bricks',
    *(f'mmdet.{part}' for part in (
        'models.backbones', 'models.data_preprocessors', 'models.dense_heads', 'models.detectors', 'models.layers',
        'models.losses', 'models.necks', 'models.roi_heads', 'models.task_modules', 'visualization')),
    *(f'mmseg.{part}' for part in (
        'models.backbones', 'models.data_preprocessor', 'models.decode_heads', 'models.losses', 'models.necks',
        'models.segmentors', 'visualization')),
    *(f'mmpretrain.{part}' for part in (
        'models.backbones', 'models.classifiers.image', 'models.heads.cls_head', 'models.heads.linear_head',
        'models.heads.multi_label_cls_head', 'models.heads.multi_label_linear_head', 'models.losses',
        'models.necks.gap', 'models.utils.data_preprocessor', 'models.utils.norm', 'visualization')))
#: Of those, what reads files, addresses or Python text that its arguments name.
REFUSED = (
    *(f'mmdet.models.{part}' for part in (
        'detectors.d2_wrapper', 'detectors.glip', 'detectors.grounding_dino', 'detectors.kd_one_stage',
        'detectors.lad', 'detectors.semi_base', 'detectors.soft_teacher', 'dense_heads.atss_vlfusion_head',
        'dense_heads.grounding_dino_head', 'task_modules.tracking')),
    *(f'mmseg.models.{part}' for part in (
        'backbones.timm_backbone', 'backbones.vpd', 'decode_heads.san_head', 'decode_heads.vpd_depth_head')))
#: Types that hand their arguments on, such as the name of a file with weights, and those that they may be given.
ARGUMENTS = dict(TIMMBackbone=frozenset({'type', 'model_name', 'features_only', 'out_indices'}))
#: Functions that mmcv looks up by name.
FUNCTIONS = ('nms', 'soft_nms')
#: What an image goes through before the network.
TRANSFORMS = ('CenterCrop', 'Normalize', 'PackDetInputs', 'PackInputs', 'PackSegInputs', 'Pad', 'Resize', 'ResizeEdge')
#: What only training needs, or where weights came from: neither written nor read.
_LEFT_OUT = ('init_cfg', 'train_cfg', 'batch_augments', 'pretrained')
#: A word, such as a mode: no path, no address, no dotted name of Python's; and none that means a pickle to mmengine.
_WORD = re.compile(r'(?!(?:pkl|pickle)$)[\w+ -]{0,64}', re.ASCII)
_MAX_NUMBER, _MAX_SIDE = 2 ** 24, 2 ** 14


@dataclass
class Network:
    """A model, what its images go through and how its results are drawn, as a configuration describes them.

    The names are those that a configuration has: ``cfg.model``, ``cfg.visualizer``, ``cfg.default_scope``, and
    ``pipeline``, that of the test data without what loads it.
    """

    default_scope: str
    model: ConfigDict
    pipeline: list
    visualizer: ConfigDict

    @classmethod
    def from_config(cls, cfg: Config) -> 'Network':
        """Take what a configuration, which is the user's own, says.

        Raises:
            UserError: If it has no model, test data or visualizer.
        """
        missing = [key for key in ('model', 'test_dataloader', 'visualizer') if not isinstance(cfg.get(key), dict)]
        if missing:
            raise UserError(f'the configuration has no {", ".join(missing)}')
        steps = [step for step in cfg.test_dataloader.dataset.pipeline if not str(step['type']).startswith('Load')]
        return cls(cfg.get('default_scope') or 'mmengine', cfg.model, steps,
                   ConfigDict({key: value for key, value in cfg.visualizer.items()
                               if key not in ('vis_backends', 'save_dir', 'name')}))

    @classmethod
    def from_plain(cls, plain: object) -> 'Network':
        """Take what a checkpoint, whoever made it, says: built are only the known parts of networks.

        Every ``type`` must be the name of a class that is registered, and defined in one of :data:`MODULES`. Other text
        is single words. Nothing that names a file, an address or code gets through.

        Raises:
            UserError: If it says anything else, naming it.
        """
        if not isinstance(plain, dict) or not {'default_scope', 'model', 'pipeline', 'visualizer'} <= plain.keys():
            raise UserError('its description of the network is not whole')
        scope = plain['default_scope']
        if scope not in SCOPES:
            raise UserError(f'its network is of {printable(scope)}, not of {", ".join(SCOPES)}')
        if not isinstance(plain['pipeline'], (list, tuple)):
            raise UserError('its pipeline is not a list')
        check = _Check(scope)
        model = check.part(plain['model'], 'model', (MODELS, TASK_UTILS))
        visualizer = check.part(plain['visualizer'], 'visualizer', (VISUALIZERS, ))
        pipeline = [check.step(step, f'pipeline[{index}]') for index, step in enumerate(plain['pipeline'])]
        return cls(scope, ConfigDict(model), [ConfigDict(step) for step in pipeline], ConfigDict(visualizer))

    def plain(self) -> dict:
        """What a checkpoint says of it.

        Raises:
            UserError: If :meth:`from_plain` would not take it.
        """
        parts = dict(default_scope=self.default_scope, model=self.model, pipeline=self.pipeline,
                     visualizer=self.visualizer)
        plain = {key: _without(value) for key, value in parts.items()}
        Network.from_plain(plain)
        return plain

    def build(self, weights: Mapping[str, torch.Tensor] | None = None) -> nn.Module:
        """Build the model, with random weights.

        Args:
            weights: Those that it is for. A description of a model several times as large is refused before it takes
                memory.

        Raises:
            UserError: If the model cannot be built from its description, or is larger than the weights.
        """
        init_default_scope(self.default_scope)
        limit = None if weights is None else 4 * sum(map(torch.numel, weights.values())) + 1_000_000
        with _at_most(limit):
            try:
                return MODELS.build(self.model)
            except UserError:
                raise
            except Exception as error:
                raise UserError(f'the network cannot be built as it is described: {printable(error, 300)}') from error


def _without(value: object) -> object:
    """Plain containers, without what is left out."""
    if isinstance(value, dict):
        return {key: _without(item) for key, item in value.items() if key not in _LEFT_OUT}
    if isinstance(value, (list, tuple)):
        return type(value)(_without(item) for item in value)
    return value


class _Check:

    def __init__(self, scope: str):
        self.scope = scope

    def part(self, value: object, where: str, registries: tuple[Registry, ...]) -> object:
        """Plain data in which every type is a known part."""
        if isinstance(value, dict):
            copied = {}
            kind = str(value.get('type')).rpartition('.')[2]
            for key, item in value.items():
                if kind in ARGUMENTS and key not in {*ARGUMENTS[kind], *_LEFT_OUT}:
                    raise UserError(f'{printable(where)} gives {printable(repr(key))} to {kind}, which a checkpoint '
                                    f'may give {", ".join(sorted(ARGUMENTS[kind]))} alone')
                if not isinstance(key, str) or not _WORD.fullmatch(key) or key.startswith('_'):
                    raise UserError(f'{printable(where)} has {printable(repr(key))} for a name')
                if key in _LEFT_OUT:
                    continue
                copied[key] = (self.known(item, where, registries) if key == 'type' else
                               self.part(item, f'{where}.{key}', registries))
            return copied
        if isinstance(value, (list, tuple)):
            return type(value)(self.part(item, where, registries) for item in value)
        if isinstance(value, str) and not _WORD.fullmatch(value):
            raise UserError(f'{printable(where)} is {printable(repr(value))}, where a word may stand and no path, '
                            'address or name of code')
        if isinstance(value, (int, float)) and abs(value) > _MAX_NUMBER:
            raise UserError(f'{printable(where)} is {printable(value)}, more than {_MAX_NUMBER}')
        if value is None or type(value) in (bool, int, float, str):
            return value
        raise UserError(f'{printable(where)} is a {type(value).__name__}, which no description of a network holds')

    def step(self, value: object, where: str) -> object:
        """A step of a pipeline."""
        if not isinstance(value, dict) or value.get('type') not in TRANSFORMS:
            kind = value.get('type') if isinstance(value, dict) else value
            raise UserError(f'{where} is {printable(repr(kind))}: known are {", ".join(TRANSFORMS)}')
        self.part({key: item for key, item in value.items() if key != 'type'}, where, ())
        if any(side > _MAX_SIDE for side in _numbers(value)):
            raise UserError(f'{where} has a side of more than {_MAX_SIDE} px')
        return value

    def known(self, name: object, where: str, registries: tuple[Registry, ...]) -> str:
        """The name of a type, if it is one that may be built."""
        if name in FUNCTIONS and where.endswith('nms'):
            return name
        found = None
        if isinstance(name, str):
            scope, _, short = name.rpartition('.')
            if scope in ('', *SCOPES):
                homes = (registry for root in registries for registry in _searched(root, scope, self.scope))
                found = next((home.module_dict[short] for home in homes if short in home.module_dict), None)
        home = getattr(found, '__module__', '') if isinstance(found, type) else ''
        if not _below(home, MODULES) or _below(home, REFUSED):
            raise UserError(f'{printable(where)} is of type {printable(repr(name))}, which is not among the parts of '
                            'networks that a checkpoint may ask for')
        return name


def _searched(root: Registry, scope: str, default: str) -> Iterator[Registry]:
    """Where mmengine looks for a name: in its scope, or in the default one and then in the root."""
    for name in (scope, ) if scope else (default, 'mmengine'):
        registry = root if name == 'mmengine' else root.children.get(name)
        if registry:
            registry.import_from_location()
            yield registry


def _below(module: str, parents: tuple[str, ...]) -> bool:
    return any(module == parent or module.startswith(f'{parent}.') for parent in parents)


def _numbers(value: object) -> Iterator[float]:
    if isinstance(value, dict):
        value = value.values()
    if isinstance(value, (int, float)):
        yield abs(value)
    elif not isinstance(value, str) and value is not None:
        for item in value:
            yield from _numbers(item)


@contextlib.contextmanager
def _at_most(limit: int | None) -> Iterator[None]:
    """Stop the building of a model whose parameters and buffers have more than ``limit`` values."""
    count = 0

    def add(module: nn.Module, name: str, value: torch.Tensor | None) -> None:
        nonlocal count
        count += 0 if value is None else value.numel()
        if limit is not None and count > limit:
            raise UserError('it describes a network several times as large as its weights')

    handles = [register_module_parameter_registration_hook(add), register_module_buffer_registration_hook(add)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
