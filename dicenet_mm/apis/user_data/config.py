"""Finding one's way in a configuration, whatever wrappers and heads it has."""
from collections.abc import Callable, Iterator


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
    if 'datasets' in dataset:
        return replace_data_set(dataset['datasets'][0], make)
    return make(dataset)


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
