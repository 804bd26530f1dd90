"""Data sets inside wrappers."""
from collections.abc import Iterator

from torch.utils.data import Dataset


def innermost(dataset: Dataset) -> Iterator[Dataset]:
    """The data sets inside any that join, repeat or otherwise wrap others; one that wraps none is its own."""
    parts = getattr(dataset, 'datasets', None) or [part for part in [getattr(dataset, 'dataset', None)] if part]
    if not parts:
        yield dataset
    for part in parts:
        yield from innermost(part)
