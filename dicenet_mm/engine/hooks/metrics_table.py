"""The metrics of each evaluation of a training, side by side."""
import csv
from pathlib import Path

import numpy as np
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import EpochBasedTrainLoop

SHOWN, COLUMNS = 10, 4  # rows and metrics that fit a screen


@HOOKS.register_module()
class MetricsTableHook(Hook):
    """Logs a table of the last evaluations, and writes all of them to ``metrics.csv`` of the work directory.

    A row has the epoch (or the step, where the length is in steps), the mean loss since the row before, the rate and
    the metrics, without those of single classes. Resuming goes on with the file.
    """

    priority = 'LOWEST'  # after what saves the best checkpoint

    def before_train(self, runner) -> None:
        self.seen = len(self._scalars(runner, 'train/loss'))

    @master_only
    def after_val_epoch(self, runner, metrics: dict | None = None) -> None:
        by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
        losses, rates = self._scalars(runner, 'train/loss'), self._scalars(runner, 'train/lr')
        new = losses[self.seen:]
        self.seen = len(losses)
        classes = runner.val_dataloader.dataset.metainfo.get('classes') or ()
        row = {'epoch' if by_epoch else 'step': runner.epoch if by_epoch else runner.iter}
        row.update(loss=_short(np.mean(new)) if len(new) else '', lr=_short(rates[-1]) if len(rates) else '')
        row.update({name: _short(value) for name, value in (metrics or {}).items() if isinstance(value, (int, float))
                    and name.rpartition('/')[2].removesuffix('_precision') not in classes})
        rows = self._write(Path(runner.work_dir, 'metrics.csv'), row)
        runner.logger.info(_table(rows[-SHOWN:], list(row)[:3 + COLUMNS]))

    @staticmethod
    def _write(file: Path, row: dict[str, str]) -> list[dict[str, str]]:
        """Add a row to the file, instead of an earlier one of the same epoch or later; all rows."""
        rows, key = [], next(iter(row))
        if file.is_file():
            with open(file, newline='') as content:
                rows = [old for old in csv.DictReader(content) if (old.get(key) or '').isdigit()
                        and int(old[key]) < int(row[key])]
        rows.append(row)
        names = dict.fromkeys(name for entry in rows for name in entry)
        with open(file, 'w', newline='') as content:
            writer = csv.DictWriter(content, names, restval='')
            writer.writeheader()
            writer.writerows(rows)
        return rows

    @staticmethod
    def _scalars(runner, name: str) -> np.ndarray:
        scalars = runner.message_hub.log_scalars
        return scalars[name].data[0] if name in scalars else np.zeros(0)


def _short(value: float) -> str:
    return f'{value:.4g}'


def _table(rows: list[dict[str, str]], names: list[str]) -> str:
    titles = {name: name.rpartition('/')[2] for name in names}
    lines = [[titles[name] for name in names], *([str(row.get(name, '')) for name in names] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines)]
    return '\n' + '\n'.join('  '.join(cell.rjust(width) for cell, width in zip(line, widths)) for line in lines)
