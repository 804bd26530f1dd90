"""From a trained model to files, with a table of what each of them gives."""
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import mmengine
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import dicenet_mm
from dicenet_mm.datasets import sample_images
from dicenet_mm.errors import UserError

from .formats import FORMATS
from .metadata import metadata
from .network import ExportedNetwork, exported_network
from .source import Source
from .verify import difference, predictor

ROUNDS, SECONDS = 5, 0.4


def export(source: Source, folder: Path, name: str, formats: Sequence[str] = ('onnx', ),
           precisions: Sequence[str] = ('float32', ), raw: bool = False, verify: int = 0, calibrate: str | None = None,
           calibration_images: int = 128, timing: bool = False) -> list[dict]:
    """Write files, compare each with the model on several inputs, and print and save a table of them.

    Args:
        source: The model and its data.
        folder: Where the files go, named ``<name>.<format's end>``, for other precisions ``<name>_<precision>...``;
            ``<name>.json`` has what the table shows.
        name: Of the files.
        formats: Names in :data:`dicenet_mm.export.formats.FORMATS`.
        precisions: ``float32``, ``float16``, ``int8``. Those that a format cannot write are left out, saying so.
        raw: See :func:`dicenet_mm.export.network.exported_network`.
        verify: Images of the test data to measure the metric on; 0 for none.
        calibrate: A folder of pictures for int8; the training images by default.
        calibration_images: How many of them.
        timing: Whether to measure the time that one image takes.

    Returns:
        One row a file: ``{'file', 'format', 'precision', 'MB', 'difference', 'metrics', 'ms'}``. The first row is the
        model in PyTorch.

    Raises:
        UserError: If a package is missing, the model cannot be exported, or no file can be written.
    """
    wanted = [(kind, precision) for kind in formats for precision in precisions
              if precision in FORMATS[kind].PRECISIONS]
    left_out = [f'{precision} in {kind}' for kind in formats for precision in precisions
                if precision not in FORMATS[kind].PRECISIONS]
    if not wanted:
        raise UserError(f'there is no {" or ".join(left_out)}')
    inputs = example_inputs(source)
    calibration = source.calibration(calibration_images, calibrate) if 'int8' in precisions else ()
    folder.mkdir(parents=True, exist_ok=True)
    network, layers = (exported_network(source.model, source.size, kind) for kind in (raw, True))
    rows = [dict(file='', format='PyTorch', precision='float32', outputs=network.outputs)]
    runs = {'': lambda images: _run(network, images)}
    predictors = {'': lambda images, samples: source.model(images, samples, mode='predict')}
    for kind, precision in wanted:
        print(f'writing {kind}, {precision} ...', flush=True)
        written = network if FORMATS[kind].BATCH else layers  # what runs image by image has no suppression, no argmax
        path = folder / (name if precision == 'float32' else f'{name}_{precision}')
        file = str(FORMATS[kind].write(written, inputs[-1], path, metadata(written, source.network, source.meta,
                                                                           source.size), precision, calibration))
        runs[file] = FORMATS[kind].load(Path(file), torch.get_num_threads())
        predictors[file] = predictor(written, runs[file])
        found = [difference(written, _run(written, images), runs[file](images.numpy())) for images in inputs]
        rows.append(dict(file=file, format=kind, precision=precision, outputs=written.outputs, MB=_megabytes(file),
                         difference={key: max(one[key] for one in found) for key in found[0]}))
    if verify:
        print(f'measuring on {verify} images of the test data ...', flush=True)
        metrics = source.measured(predictors, verify)
        for row in rows:
            row['metrics'] = metrics[row['file']]
    if timing:
        fused = exported_network(dicenet_mm.fuse(source.model), source.size, raw)
        runs['fused'] = lambda images: _run(fused, images)
        rows.insert(1, dict(file='fused', format='PyTorch, fused', precision='float32', outputs=fused.outputs))
        image = inputs[0].numpy()
        for file, milliseconds in _times({file: lambda run=run: run(image) for file, run in runs.items()}).items():
            next(row for row in rows if row['file'] == file)['ms'] = milliseconds
    mmengine.dump(rows, str(folder / f'{name}.json'), indent=1)
    _show(rows, left_out, len(inputs))
    return rows


def example_inputs(source: Source) -> list[torch.Tensor]:
    """Prepared images to compare on: pictures that are built in one by one, noise, and a batch of two."""
    pictures = [cv2.imread(str(file)) for file in sample_images()[:2]]
    singles = [source.prepare([picture]) for picture in pictures]
    noise = torch.randn(1, 3, *source.size, generator=torch.Generator().manual_seed(0))
    return [*singles, noise, torch.cat((singles[0], noise))]


def _run(network: ExportedNetwork, images) -> list[np.ndarray]:
    with torch.no_grad():
        outputs = network(torch.as_tensor(images))
    return [output.numpy() for output in (outputs if isinstance(outputs, tuple) else (outputs, ))]


def _megabytes(name: str) -> float:
    """Of a file and, in formats that keep weights apart, of these."""
    file = Path(name)
    weights = [file.with_suffix('.bin')] if file.suffix in ('.xml', '.param') else []
    return round(sum(part.stat().st_size for part in [file, *weights]) / 1e6, 2)


def _times(contenders: dict[str, Callable]) -> dict[str, float]:
    """Milliseconds of the fastest call of each, in interleaved rounds."""
    lowest = {}
    for run in contenders.values():
        run()
    for _ in range(ROUNDS):
        for name, run in contenders.items():
            stop = time.perf_counter() + SECONDS
            while (start := time.perf_counter()) < stop:
                run()
                lowest[name] = min(lowest.get(name, 1e9), 1e3 * (time.perf_counter() - start))
    return {name: round(value, 2) for name, value in lowest.items()}


def _show(rows: list[dict], left_out: list[str], inputs: int) -> None:
    table = Table(title='the model and its exported files')
    metric = next(iter(rows[0].get('metrics', {})), None)
    columns = ['', 'numbers', 'outputs', 'MB', f'largest difference, {inputs} inputs']
    for column in [*columns, *([metric] if metric else []), *(['ms an image'] if 'ms' in rows[0] else [])]:
        table.add_column(column)
    for row in rows:
        cells = [row['format'], row['precision'], ' '.join(row['outputs']), str(row.get('MB', '')),
                 '\n'.join(f'{key} {value:.2g}' for key, value in row.get('difference', {}).items())]
        if metric:
            cells.append(f'{row["metrics"][metric]:.4g}' if 'metrics' in row else '')
        if 'ms' in row:
            cells.append(f'{row["ms"]:.2f}')
        table.add_row(*cells)
    Console().print(table)
    if left_out:
        print(f'not written, for there is no such thing: {", ".join(left_out)}')
    print('\n'.join(row['file'] for row in rows if row.get('MB')))
