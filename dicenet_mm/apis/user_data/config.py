"""Finding one's way in a configuration, whatever wrappers and heads it has."""
from collections.abc import Callable, Iterator

from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope


def data_sets(dataset: dict, times: int = 1) -> Iterator[tuple[dict, int]]:
    """The data sets inside any wrappers of a configured one, and how often each is repeated."""
    if 'dataset' in dataset:
        yield from data_sets(dataset['dataset'], times * dataset.get('times', 1))
    elif 'datasets' in dataset:
        for part in dataset['datasets']:
            yield from data_sets(part, times)
    else:
        yield dataset, times


def replace_data_set(dataset: dict, make: Callable[[dict], dict]) -> dict:
    """A configured data set with ``make(innermost one)`` in place of its innermost one; joined ones count as one."""
    if 'dataset' in dataset:
        return dict(dataset, dataset=replace_data_set(dataset['dataset'], make))
    return replace_data_set(dataset['datasets'][0], make) if 'datasets' in dataset else make(dataset)


def allow_outside(cfg: Config) -> None:
    """Let the data sets of a configuration read files outside of their folders."""
    # Not above: the tools look for the data of a configuration before they load PyTorch.
    from dicenet_mm.datasets.images import SkipsUnreadable
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    for split in ('train', 'val', 'test'):
        loader = cfg.get(f'{split}_dataloader')
        for dataset, _ in data_sets(loader.dataset) if loader else ():
            with DATASETS.switch_scope_and_registry(None) as registry:
                if issubclass(registry.get(dataset['type']) or object, SkipsUnreadable):
                    dataset['allow_outside'] = True


def with_classes(model: dict) -> Iterator[dict]:
    """The parts of a configured model that have a number of classes."""
    if isinstance(model, dict):
        if 'num_classes' in model:
            yield model
        for part in model.values():
            yield from with_classes(part)
    elif isinstance(model, (list, tuple)):
        for part in model:
            yield from with_classes(part)
