"""Exporting trained weights, from the command line and from Python."""
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dicenet_mm.errors import UserError

from .trained import find_model, named_checkpoint


@dataclass
class ExportOptions:
    """What is exported, and how: the options of ``tools/export.py``, which says more of each.

    Attributes:
        weights: Weights: a file, a name of published ones, or a work directory.
        model: Instead of these, the name of a training in ``work_dirs``; the built-in detector by default.
        config: A configuration: a file, or the name of one of the toolkit's own.
        trust: Whether to run the configuration that a checkpoint has only as code.
        data: A folder of data of one's own in place of the configuration's.
        format: ``'onnx'``, ``'openvino'``, ``'ncnn'``, ``'pt2'``, ``'aotinductor'``.
        precision: ``'float32'``, ``'float16'``, ``'int8'``.
        raw: Whether to give what the layers compute.
        out_dir: Where the files go.
        verify: Images of the test data to measure the metric on, before and after.
        calibrate: A folder of pictures to set the ranges of int8 by.
        calibration_images: How many.
        timing: Whether to measure the time of an image.
        cfg_options: Values to replace, by dotted key or as ``KEY=VALUE``.
    """
    weights: str | None = None
    model: str | None = None
    config: str | None = None
    trust: bool = False
    data: str | None = None
    format: Sequence[str] = ('onnx',)
    precision: Sequence[str] = ('float32',)
    raw: bool = False
    out_dir: str | Path = 'exported'
    verify: int = 0
    calibrate: str | None = None
    calibration_images: int = 128
    timing: bool = False
    cfg_options: dict | Sequence[str] | None = None


def export_model(options: ExportOptions) -> list[dict]:
    """Write files for other engines.

    Returns:
        A row a file, as :func:`dicenet_mm.export.export` gives them.

    Raises:
        UserError: If something that the options name is missing or wrong.
    """
    from dicenet_mm.export import Source, export

    from .config import load_config
    from .inferencer import Inferencer
    from .user_data import use_data

    weights = named_checkpoint(str(options.weights)) if options.weights else find_model(options.model)
    if (options.data or options.cfg_options) and not options.config:
        raise UserError('--data and --cfg-options change a configuration: give it with --config')
    inferencer = Inferencer(str(weights), options.config, 'cpu', fused=False, trust=options.trust)
    cfg = load_config(options.config, options.cfg_options) if options.config else None
    if options.data:
        use_data(cfg, options.data, ['test'], inferencer.dataset_meta['classes'])
    source = Source(inferencer, cfg)
    return export(source, Path(options.out_dir), Path(weights).stem, options.format, options.precision, options.raw,
                  options.verify, options.calibrate, options.calibration_images, options.timing)
