"""Metrics as tables in the log, and as JSON."""
import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path

from mmengine.logging import MMLogger, print_log
from terminaltables import AsciiTable

from dicenet_mm.datasets.files import head


def log_table(*rows: Sequence, digits: int = 2) -> None:
    """Log rows under the first one, with the last one apart; NaN is a dash."""
    def text(cell) -> str:
        if isinstance(cell, float):
            return '-' if math.isnan(cell) else f'{cell:.{digits}f}'
        return str(cell)
    table = AsciiTable([[text(cell) for cell in row] for row in rows])
    table.inner_footing_row_border = True
    MMLogger.get_current_instance().info(f'\n{table.table}')


def tell_absent(names: Sequence[str], counted: str = 'they have no figure, and the mean is over the other '
                'classes') -> None:
    """Warn of classes that no image of a test shows, and of how the mean counts them."""
    if names:
        print_log(f'no image of this test shows {head(names)}: {counted}', 'current', logging.WARNING)


def write_metrics(path: str | Path, metrics: dict) -> None:
    """Write metrics as JSON; what is not known (NaN), such as the AP of a class that does not occur, is null."""
    known = {name: None if isinstance(value, float) and not math.isfinite(value) else value
             for name, value in metrics.items()}
    Path(path).write_text(json.dumps(known, indent=1, allow_nan=False, default=float))
