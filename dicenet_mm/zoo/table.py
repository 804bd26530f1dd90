"""The published weights as a table."""
from collections.abc import Sequence

from .index import ZooModel
from .weights import weights_file

_HEADERS = ('name', 'task', 'px', 'multiply-adds', 'parameters', 'published score', 'licence')


def table(models: Sequence[ZooModel]) -> str:
    """A line for each, a star before those that are on this machine."""
    rows = [_HEADERS, *map(_row, models)]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return '\n'.join('  '.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def _row(model: ZooModel) -> tuple[str, ...]:
    data, scores = model.results[0]
    metric, score = next(iter(scores.items()))
    star = '*' if weights_file(model).is_file() else ' '
    return (f'{star}{model.name}', model.task.lower(), model.image_size, f'{model.macs / 1e9:.3f} G',
            f'{model.parameters / 1e6:.2f} M', f'{metric} {score:g}, {data}',
            model.licence + (', non-commercial' if model.non_commercial else ''))
