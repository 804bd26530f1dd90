"""``--cfg-options``: values of a configuration replaced by dotted key, where that has an effect, or refused."""
import inspect
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from mmengine.config import Config, DictAction

from dicenet_mm.errors import UserError
from dicenet_mm.paths import nearest

#: What is read of a configuration. Anything else at its top only helps to write the file.
READ = {
    'auto_scale_lr', 'compile', 'custom_hooks', 'data_preprocessor', 'default_hooks', 'default_scope', 'env_cfg',
    'evaluators', 'experiment_name', 'load_from', 'log_level', 'log_processor', 'model', 'model_wrapper_cfg',
    'optim_wrapper', 'param_scheduler', 'randomness', 'resume', 'tta_model', 'tta_pipeline', 'visualization_hook',
    'visualizer', 'work_dir',
    *(f'{split}_{part}' for split in ('train', 'val', 'test') for part in ('cfg', 'dataloader', 'evaluator'))}
#: Keys of parts that have no type to tell them, besides those that the configuration has there.
KEYS = dict(
    auto_scale_lr={'enable', 'base_batch_size'},
    dataloader={'batch_sampler', 'batch_size', 'collate_fn', 'dataset', 'drop_last', 'num_workers',
                'persistent_workers', 'pin_memory', 'prefetch_factor', 'sampler', 'timeout'},
    default_hooks={'checkpoint', 'logger', 'param_scheduler', 'runtime_info', 'sampler_seed', 'timer',
                   'visualization'},
    dist_cfg={'backend', 'timeout'},
    env_cfg={'cudnn_benchmark', 'dist_cfg', 'mp_cfg', 'resource_limit'},
    mp_cfg={'mp_start_method', 'opencv_num_threads'},
    randomness={'deterministic', 'diff_rank_seed', 'seed'},
    test_cfg={'crop_size', 'max_per_img', 'min_bbox_size', 'mode', 'multi_label', 'nms', 'nms_pre', 'resize_labels',
              'score_thr', 'stride', 'threshold', 'topk'},
    train_cfg={'allowed_border', 'assigner', 'debug', 'neg_pos_ratio', 'pos_weight', 'sampler', 'smoothl1_beta',
               'use_giou'})
#: Arguments of the loops, by their type.
_EPOCHS = {'dynamic_intervals', 'max_epochs', 'val_begin', 'val_interval'}
_STEPS = {'dynamic_intervals', 'max_iters', 'val_begin', 'val_interval'}
LOOPS = dict(EpochBasedTrainLoop=_EPOCHS, ExactEpochLoop=_EPOCHS, IterBasedTrainLoop=_STEPS, ExactIterLoop=_STEPS,
             ValLoop={'fp16'}, TestLoop={'fp16'})
#: Arguments that mmengine takes out before a class sees them.
TAKEN = {'type', '_scope_', 'priority', 'init_cfg', 'by_epoch', 'convert_to_iter_based', 'optimizer', 'constructor',
         'paramwise_cfg'}
#: Endings of keys whose value must be of a kind, and the kind in words.
COUNTS = {'batch_size': 1, 'num_workers': 0, 'max_epochs': 1, 'max_iters': 1, 'val_interval': 1,
          'accumulative_counts': 1, 'base_batch_size': 1}


def parse_options(pairs: Sequence[str]) -> dict[str, Any]:
    """Values by dotted key, as mmengine reads them: ``a=1``, ``a=[1,2]``, ``a=(1,2)``, ``a=text with blanks``.

    Raises:
        UserError: If something is no ``KEY=VALUE`` pair, or its brackets do not close.
    """
    options = {}
    for pair in pairs:
        key, sign, text = pair.partition('=')
        if not sign or not key:
            raise UserError(f'--cfg-options takes KEY=VALUE pairs, such as train_cfg.val_interval=2; {pair} is none')
        try:
            # mmengine drops blanks, also those in names of files and classes
            options[key] = _blanks_back(DictAction._parse_iterable(text.replace(' ', '\0')))
        except AssertionError:
            raise UserError(f'--cfg-options: the brackets of {pair} do not close') from None
    return options


def _blanks_back(value):
    if isinstance(value, str):
        return DictAction._parse_int_float_bool(value.replace('\0', ' ').strip().strip('\'"'))
    return type(value)(map(_blanks_back, value)) if isinstance(value, (list, tuple)) else value


def hand_down(cfg: Config, options: dict[str, Any]) -> dict[str, Any]:
    """The options, where those of a data set that wraps others, and that only the others have, are theirs.

    So ``train_dataloader.dataset.filter_cfg.min_size=8`` is for the data sets that are repeated or joined there.
    """
    handed = {}
    for key, value in options.items():
        part, _, rest = key.partition('.dataset.')
        outer = (cfg.get(part) or {}).get('dataset') if rest and part.endswith('_dataloader') else None
        name = rest.partition('.')[0]
        inside = [path for path, inner in _wrapped(outer, f'{part}.dataset') if name in inner or name == 'filter_cfg']
        own = not isinstance(outer, dict) or name in {'type', 'dataset', 'datasets', *outer}
        handed.update({key: value} if own or not inside else {f'{path}.{rest}': value for path in inside})
    return handed


def _wrapped(dataset: Any, path: str) -> Iterator[tuple[str, dict]]:
    """The data sets inside any wrappers, by their dotted keys."""
    if not isinstance(dataset, dict):
        return
    if 'dataset' in dataset:
        yield from _wrapped(dataset['dataset'], f'{path}.dataset')
    elif 'datasets' in dataset:
        for index, part in enumerate(dataset['datasets']):
            yield from _wrapped(part, f'{path}.datasets.{index}')
    else:
        yield path, dataset


def merge_options(cfg: Config, options: dict[str, Any]) -> None:
    """Replace values of a configuration, in place.

    Raises:
        UserError: If a key leads nowhere, or its value is of another kind than the one it replaces.
    """
    for key, value in options.items():
        _require_place(cfg, key, value)
    try:
        cfg.merge_from_dict({key: value for key, value in options.items()})
    except (TypeError, KeyError) as error:
        raise UserError(f'--cfg-options: {error}') from None
    for split in ('train', 'val', 'test'):
        loader = cfg.get(f'{split}_dataloader')
        if loader and loader.get('num_workers') == 0:  # or torch refuses
            loader.persistent_workers = False
            loader.pop('prefetch_factor', None)


def _require_place(cfg: Config, key: str, value: Any) -> None:
    node, path = cfg, []
    for part in key.split('.'):
        where = '.'.join(path)
        if isinstance(node, (list, tuple)):
            if not part.isdigit() or int(part) >= len(node):
                raise UserError(f'--cfg-options {key}: {where} is a list, whose parts are 0 to {len(node) - 1}, and '
                                f'{part} is none of them')
            node = node[int(part)]
        elif isinstance(node, (dict, Config)):
            if not path and part not in READ:
                raise UserError(f'--cfg-options {key}: ' + (
                    f'{part} only helps to write the configuration file, and changing it here would change nothing: '
                    'set the values that were made of it, or write a configuration of your own' if part in node else
                    f'a configuration has no {part}; '
                    f'{nearest(part, READ) or "it has " + ", ".join(sorted(READ & set(node)))}'))
            if part not in node:
                _require_new(node, path, part, key)
                return
            node = node[part]
        else:
            raise UserError(f'--cfg-options {key}: {where} is {node!r}, which has no {part}')
        path.append(part)
    if isinstance(node, dict) and node and value is not None and not isinstance(value, dict):
        raise UserError(f'--cfg-options {key}={value}: {key} has parts ({", ".join(node)}): name the one to replace')
    if isinstance(node, (int, float)) and isinstance(value, str):
        kind = 'True or False' if isinstance(node, bool) else 'a number'
        raise UserError(f'--cfg-options {key}={value}: {key} is {node} here, so give {kind}')


def _require_new(node: dict, path: Sequence[str], part: str, key: str) -> None:
    """Refuse a new key that is known to mean nothing; of most classes, :func:`check_arguments` tells."""
    if not path:
        return
    name, where = path[-1], '.'.join(path)
    if 'type' in node:
        loop = LOOPS.get(node['type'])
        if loop:
            _require_argument(node, node['type'], part, where, key, loop)
        guess = nearest(part, node, 0.85)
        if guess:  # the class may still know it, but hardly beside a name so near
            raise UserError(f'--cfg-options {key}: {where} has no {part}; {guess}')
        return
    known = KEYS.get('dataloader' if name.endswith('_dataloader') else name)
    if known is None or part in known:
        return
    there = known | set(node)
    raise UserError(f'--cfg-options {key}: {where} has no {part}; '
                    f'{nearest(part, there) or "it has " + ", ".join(sorted(there))}')


def check_values(cfg: Config) -> None:
    """Refuse numbers that cannot be meant, wherever they come from, before anything is built.

    Raises:
        UserError: If a count is no whole number or too small, a rate not above 0, or class names are one text.
    """
    parts = [f'{split}_{part}' for split in ('train', 'val', 'test') for part in ('cfg', 'dataloader')]
    for name in [*parts, 'optim_wrapper', 'auto_scale_lr']:
        for key, least in COUNTS.items():
            value = (cfg.get(name) or {}).get(key, least)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise UserError(f'{name}.{key} is {value!r}: give a whole number from {least} on')
    rate = ((cfg.get('optim_wrapper') or {}).get('optimizer') or {}).get('lr', 1)
    if isinstance(rate, (int, float, str)) and not (isinstance(rate, (int, float)) and rate > 0):
        raise UserError(f'optim_wrapper.optimizer.lr is {rate!r}: give a number above 0')
    for path, classes in _class_names(cfg._cfg_dict):
        if isinstance(classes, str):
            raise UserError(f'{path} is the text {classes!r}, whose letters would be the classes: a single class is '
                            f'written with a comma, ({classes!r},)')


def _class_names(node, path: str = '') -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for key, value in node.items():
            inside = f'{path}.{key}'.lstrip('.')
            if key == 'classes' and path.endswith('metainfo'):
                yield inside, value
            yield from _class_names(value, inside)
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            yield from _class_names(value, f'{path}.{index}')


def check_arguments(cfg: Config, keys: Iterable[str]) -> None:
    """Refuse options that the class they are for does not take; the registries must be filled by now.

    Args:
        cfg: With the options merged.
        keys: Their dotted keys.

    Raises:
        UserError: If one is no argument of the class, or names a class that there is not.
    """
    for key in keys:
        node = cfg._cfg_dict
        path = key.split('.')
        for index, part in enumerate(path):
            if isinstance(node, (list, tuple)):
                node = node[int(part)]
                continue
            kind = node.get('type') if isinstance(node, dict) else None
            if isinstance(kind, str) and part != 'type':
                found = _find(kind)
                if inspect.isclass(found):
                    _require_argument(node, kind, part, '.'.join(path[:index]), key, *_arguments(found))
            elif isinstance(kind, str) and _find(kind) is None and kind not in ('nms', 'soft_nms'):
                raise UserError(f'--cfg-options {key}={kind}: there is no {kind}; '
                                f'{nearest(kind, _all_names()) or "check the name"}')
            node = node[part]


def _require_argument(node: dict, kind: str, part: str, where: str, key: str, known: set[str],
                      open_ended: bool = False) -> None:
    if part in known | TAKEN:
        return
    guess = nearest(part, known, 0.85 if open_ended else 0.6)
    if open_ended and not guess:  # it hands on what it does not know
        return
    if {part, *known} >= {'max_epochs', 'max_iters'}:
        counted = 'max_iters' if part == 'max_epochs' else 'max_epochs'
        guess = f'its length is {where}.{counted}={node.get(counted)}'
    raise UserError(f'--cfg-options {key}: {where} is a {kind}, which takes no {part}; '
                    f'{guess or "it takes " + ", ".join(sorted(known - TAKEN))}')


def _arguments(kind: type) -> tuple[set[str], bool]:
    """The names that a class and those it hands keywords on to take, and whether there may be others."""
    known = set(TAKEN)
    for part in kind.__mro__:
        if '__init__' not in vars(part) or part is object:
            continue
        parameters = inspect.signature(part.__init__).parameters.values()
        known.update(entry.name for entry in parameters if entry.kind not in (entry.VAR_KEYWORD, entry.VAR_POSITIONAL))
        if not any(entry.kind is entry.VAR_KEYWORD for entry in parameters):
            return known - {'self'}, False
    return known - {'self'}, True


def _registries() -> list:
    from mmengine import registry
    return [entry for entry in vars(registry).values() if isinstance(entry, registry.Registry)]


def _find(kind: str) -> type | None:
    """The class that a configuration names, in any registry, as seen from the default scope."""
    from mmengine.registry import DefaultScope
    scope = DefaultScope.get_current_instance()
    found = (root.children.get(scope.scope_name if scope else '', root).get(kind) for root in _registries())
    return next((entry for entry in found if entry is not None), None)


def _all_names() -> set[str]:
    return {name for root in _registries() for part in (root, *root.children.values()) for name in part.module_dict}
