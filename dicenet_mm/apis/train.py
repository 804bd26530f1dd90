"""Training, from the command line and from Python.

Heavy modules are imported where they are used: :meth:`TrainOptions.check` tells mistakes before PyTorch is loaded.
"""
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dicenet_mm.errors import UserError
from dicenet_mm.paths import require_folder, require_writable
from dicenet_mm.processes import is_first, say

from .config import load_config
from .data_paths import require_data
from .habits import apply_habits, set_epochs, stop_early
from .trained import latest_checkpoint, named_checkpoint
from .work_dir import clear_training, finished, require_new_training


@dataclass
class TrainOptions:
    """What a training is to be: the options of ``tools/train.py``, which says more of each.

    Attributes:
        config: A configuration: a file, or the name of one of the toolkit's own, ``'ssd_dicenet_300_coco'``.
        data: A folder of data of one's own in place of the configuration's.
        work_dir: Where logs and checkpoints go; ``work_dirs/<name of the configuration>`` by default.
        batch_size: Training images in a step of each process.
        workers: Processes that load images, of each data loader.
        epochs: Length.
        patience: Evaluations without a better one after which it stops.
        lr: Learning rate.
        auto_scale_lr: Whether to scale the rate with the batch.
        start: What to start from instead of the configuration's: a checkpoint, published weights, or ``'scratch'``.
        seed: For the same weights and batches in every run.
        freeze: The stem and this many stages stay as they are.
        amp: Automatic mixed precision.
        no_validate: Whether to leave evaluations out.
        log: Where else to log, of :data:`dicenet_mm.apis.habits.LOGGERS`.
        resume: A checkpoint to continue from, or ``'auto'`` for the newest of the work directory.
        overwrite: Whether to delete an earlier training of the work directory.
        allow_outside: Whether names and links in the data may lead to files outside of its folder.
        launcher: How several processes were started.
        cfg_options: Values to replace, by dotted key or as ``KEY=VALUE``.
    """
    config: str
    data: str | None = None
    work_dir: str | None = None
    batch_size: int | None = None
    workers: int | None = None
    epochs: int | None = None
    patience: int | None = None
    lr: float | None = None
    auto_scale_lr: bool = False
    start: str | None = None
    seed: int | None = None
    freeze: int | None = None
    amp: bool = False
    no_validate: bool = False
    log: Sequence[str] = ()
    resume: str | None = None
    overwrite: bool = False
    allow_outside: bool = False
    launcher: str = 'none'
    cfg_options: dict | Sequence[str] | None = None

    @property
    def splits(self) -> list[str]:
        return ['train'] if self.no_validate else ['train', 'val']

    def check(self) -> None:
        """See whether what is named is there, in a second.

        Raises:
            UserError: If it is not, or options do not go together.
        """
        if self.data:
            require_folder(self.data, '--data')
        if self.resume and self.overwrite:
            raise UserError('--resume continues a training and --overwrite deletes it: give one of them')
        cfg = load_config(self.config, self.cfg_options, self.work_dir, imports=False)
        apply_habits(cfg, self)
        require_writable(cfg.work_dir, '--work-dir')
        for checkpoint in (self.resume, self.start, cfg.get('load_from')):
            if checkpoint and checkpoint not in ('auto', 'scratch'):
                named_checkpoint(checkpoint)
        if self.auto_scale_lr and 'auto_scale_lr' not in cfg:
            raise UserError(f'{self.config} does not say which batch its learning rate is for (auto_scale_lr)')
        if not self.data:
            require_data(cfg, self.splits)
        if not self.resume and not self.overwrite:
            require_new_training(cfg.work_dir)


@dataclass(frozen=True)
class Trained:
    """What a training has left.

    Attributes:
        work_dir: Its folder.
        checkpoint: The best checkpoint, or else the last one; None where nothing was saved.
        score: Of the best checkpoint, in the metric that tells it; None without evaluations.
    """
    work_dir: Path
    checkpoint: Path | None
    score: float | None = None


def train(options: TrainOptions) -> Trained:
    """Train a model, saying what is done.

    Raises:
        UserError: If something that the options or the configuration name is missing or wrong.
    """
    import torch

    from dicenet_mm.checkpoint import read_checkpoint
    from dicenet_mm.datasets import report_images
    from dicenet_mm.engine import QuietRunner, cpu_has_bfloat16

    from .check_data import check_data, print_data
    from .config import set_launcher
    from .summary import outcome, print_outcome, print_start
    from .user_data import allow_outside, use_data
    from .weights import load_weights, read_pretrained, require_fit

    cfg = load_config(options.config, options.cfg_options, options.work_dir)
    apply_habits(cfg, options)
    set_launcher(cfg, options.launcher)
    notes = use_data(cfg, options.data, options.splits) if options.data else []
    if options.start:
        cfg.load_from = None if options.start == 'scratch' else options.start
        if 'backbone' in cfg.model:
            cfg.model.backbone.init_cfg = None
    if options.no_validate:
        cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    if options.patience:
        stop_early(cfg, options.patience)
    if options.resume:
        found = latest_checkpoint(cfg.work_dir) if options.resume == 'auto' else options.resume
        if found:
            cfg.load_from, cfg.resume = str(found), True
        else:
            say(f'no checkpoint in {cfg.work_dir} to resume from: training starts at the beginning')
    checkpoint = read_checkpoint(cfg.load_from) if cfg.load_from else None
    start = None if cfg.resume else read_pretrained(cfg)
    if options.amp and torch.cuda.is_available():
        cfg.optim_wrapper.update(type='AmpOptimWrapper', loss_scale='dynamic')
    elif options.amp:
        if not cpu_has_bfloat16():
            raise UserError('--amp needs a GPU, or a CPU that calculates in bfloat16 (AVX512-BF16 or AMX), and here is '
                            'neither: leave it out')
        cfg.optim_wrapper.type = 'BFloat16OptimWrapper'
    if options.auto_scale_lr:
        # mmengine compares with the images of one step, which are a part of the batch where steps are accumulated
        steps = cfg.optim_wrapper.get('accumulative_counts', 1)
        cfg.auto_scale_lr.update(enable=True, base_batch_size=cfg.auto_scale_lr.base_batch_size / steps)
    if options.allow_outside:
        allow_outside(cfg)
    contents = check_data(cfg, options.splits, thorough=bool(options.data))
    if options.data:
        print_data(contents, notes)
    if options.epochs:
        set_epochs(cfg, options.epochs, contents['train'].images)
    done = cfg.resume and finished(cfg, checkpoint.get('meta', {}))
    if done:
        say(f'{cfg.load_from} has been trained for {done}: there is nothing left to do. For a longer training, start '
            f'one from its weights: --cfg-options load_from={cfg.load_from} with another --work-dir; to start anew, '
            '--overwrite')
        return Trained(Path(cfg.work_dir), Path(cfg.load_from))
    updates = (cfg.train_cfg.get('max_epochs', 0) * (contents['train'].images // cfg.train_dataloader.batch_size)
               // cfg.optim_wrapper.get('accumulative_counts', 1))
    if 0 < updates < 500:
        say(f'note: {updates} updates of the weights are few for a training from random weights. Raise --epochs, lower '
            'optim_wrapper.accumulative_counts, or start from load_from=CHECKPOINT')
    runner = QuietRunner.from_cfg(cfg)
    model = getattr(runner.model, 'module', runner.model)  # inside a wrapper for several processes
    if start:
        require_fit(model, start, cfg.model.backbone.init_cfg.checkpoint)
    if checkpoint:
        print(f'{"continues" if cfg.resume else "starts"} from {cfg.load_from}' +
              ('' if cfg.resume else ' (--from scratch: from random weights)'))
        (load_weights if cfg.resume else require_fit)(model, checkpoint, cfg.load_from)
    if options.overwrite and is_first():
        clear_training(cfg.work_dir, keep=[cfg.load_from] if cfg.load_from else [])
    print_start(runner, contents)
    runner.train()
    report_images(runner.train_dataloader.dataset)
    found = outcome(runner)
    print_outcome(found, options.config, options.data)
    return found
