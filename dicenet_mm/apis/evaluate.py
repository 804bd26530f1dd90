"""Testing a checkpoint, from the command line and from Python.

Heavy modules are imported where they are used: :meth:`EvaluateOptions.check` tells mistakes before PyTorch is loaded.
"""
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dicenet_mm.errors import UserError
from dicenet_mm.paths import require_folder, require_writable

from .config import load_config, select_metrics
from .data_paths import require_data
from .trained import named_checkpoint


@dataclass
class EvaluateOptions:
    """What is tested, and how: the options of ``tools/test.py``, which says more of each.

    Attributes:
        config: A configuration: a file, or the name of one of the toolkit's own.
        checkpoint: Weights: a file, a name of published ones, or a work directory.
        data: A folder of data of one's own in place of the configuration's.
        work_dir: Where ``metrics.json`` and logs go; ``work_dirs/<name of the configuration>`` by default.
        eval: Names of metrics; the configuration's own by default.
        out: File of predictions (JSON); of segmentation, a folder of masks.
        show_dir: Folder for pictures of truth and prediction.
        tta: Whether to average over test-time augmentations.
        fuse: Whether to test the inference form of the model.
        allow_outside: Whether names and links in the data may lead to files outside of its folder.
        launcher: How several processes were started.
        cfg_options: Values to replace, by dotted key or as ``KEY=VALUE``.
    """
    config: str
    checkpoint: str
    data: str | None = None
    work_dir: str | None = None
    eval: Sequence[str] | None = None
    out: str | None = None
    show_dir: str | None = None
    tta: bool = False
    fuse: bool = False
    allow_outside: bool = False
    launcher: str = 'none'
    cfg_options: dict | Sequence[str] | None = None

    def check(self) -> None:
        """See whether what is named is there, in a second.

        Raises:
            UserError: If it is not, or options do not go with the configuration.
        """
        named_checkpoint(self.checkpoint)
        if self.data:
            require_folder(self.data, '--data')
        cfg = load_config(self.config, self.cfg_options, self.work_dir, imports=False)
        require_writable(cfg.work_dir, '--work-dir')
        masks = cfg.get('default_scope') == 'mmseg'
        if self.out:
            if not masks and not self.out.endswith('.json'):
                raise UserError(f'--out writes JSON: give a name that ends in .json, not {self.out}')
            if masks and Path(self.out).suffix:
                raise UserError(f'--out writes a folder of masks: give the name of a folder, not {self.out}')
            if not masks and Path(self.out).is_dir():
                raise UserError(f'--out {self.out} is a folder: give the name of a file')
            require_writable(self.out if masks else Path(self.out).parent, '--out')
        if self.show_dir:
            if 'visualization_hook' not in cfg:
                raise UserError(f'{self.config} does not say how to draw (visualization_hook): leave --show-dir out')
            require_writable(self.show_dir, '--show-dir')
        if self.tta and not ('tta_model' in cfg and 'tta_pipeline' in cfg):
            raise UserError(f'{self.config} has no test-time augmentation (tta_model, tta_pipeline): leave --tta out')
        if self.data:  # whose layout tells the metrics
            return
        if self.eval:
            select_metrics(cfg, self.eval)
        require_data(cfg, ['test'])


def evaluate(options: EvaluateOptions) -> dict[str, float]:
    """Measure a checkpoint, and write its metrics to ``metrics.json`` of the work directory.

    Returns:
        The metrics by name.

    Raises:
        UserError: If something that the options or the configuration name is missing or wrong.
    """
    from mmengine.dist import is_main_process

    from dicenet_mm.checkpoint import dataset_meta, read_checkpoint
    from dicenet_mm.engine import QuietRunner
    from dicenet_mm.evaluation import write_metrics
    from dicenet_mm.inference.fuse import fuse

    from .check_data import check_data, print_data
    from .config import set_launcher
    from .user_data import allow_outside, use_data
    from .weights import load_weights

    source = named_checkpoint(options.checkpoint)
    cfg = load_config(options.config, options.cfg_options, options.work_dir)
    set_launcher(cfg, options.launcher)
    cfg.load_from, cfg.resume = None, False  # the weights are loaded below, all of them
    if options.eval and not options.data:  # with it, the metrics are those of its layout
        select_metrics(cfg, options.eval)
    checkpoint = read_checkpoint(source)
    if options.data:
        notes = use_data(cfg, options.data, ['test'], dataset_meta(checkpoint, source).get('classes'))
    if options.eval and options.data:
        select_metrics(cfg, options.eval)
    if options.out:
        masks = cfg.get('default_scope') == 'mmseg'
        metrics = cfg.test_evaluator if isinstance(cfg.test_evaluator, list) else [cfg.test_evaluator]
        cfg.test_evaluator = [*metrics, dict(type='MaskDump', out_dir=options.out) if masks else
                              dict(type='PredictionDump', out_file=options.out)]
    if options.show_dir:
        cfg.default_hooks.visualization = dict(cfg.visualization_hook, draw=True,
                                               test_out_dir=str(Path(options.show_dir).resolve()))
    if options.tta:
        cfg.model = dict(cfg.tta_model, module=cfg.model)
        cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    if options.allow_outside:
        allow_outside(cfg)
    contents = check_data(cfg, ['test'], thorough=bool(options.data))
    if options.data:
        print_data(contents, notes)
    runner = QuietRunner.from_cfg(cfg)
    holder, model = None, runner.model
    while hasattr(model, 'module'):  # wrappers for several processes, for augmentations, or both
        holder, model = model, model.module
    load_weights(model, checkpoint, source)
    if options.fuse:
        fused = fuse(model.eval())
        if holder is None:
            runner.model = fused
        else:
            holder.module = fused
    metrics = runner.test()
    if is_main_process():
        write_metrics(Path(cfg.work_dir, 'metrics.json'), metrics)
        print(f'metrics: {Path(cfg.work_dir, "metrics.json")}')
    return metrics
