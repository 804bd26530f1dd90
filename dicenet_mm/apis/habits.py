"""The options of ``tools/train.py`` that people know from elsewhere, as what they mean in a configuration."""
from importlib.util import find_spec

from mmengine.config import Config

from dicenet_mm.errors import UserError

#: Where scalars can be logged, besides files: mmengine's backend and the package that it needs.
LOGGERS = dict(tensorboard=('TensorboardVisBackend', 'tensorboard'), wandb=('WandbVisBackend', 'wandb'),
               mlflow=('MLflowVisBackend', 'mlflow'), clearml=('ClearMLVisBackend', 'clearml'),
               dvclive=('DVCLiveVisBackend', 'dvclive'), aim=('AimVisBackend', 'aim'))


def apply_habits(cfg: Config, args) -> None:
    """Write what was asked for into a configuration, before anything slow is imported.

    Args:
        cfg: Changed in place.
        args: With ``epochs``, ``batch_size``, ``lr``, ``workers``, ``seed``, ``patience``, ``freeze``, ``resume``,
            ``start`` and ``log``.

    Raises:
        UserError: If a value cannot be meant, does not go with the configuration, or needs a package that is missing.
    """
    for name, least in (('epochs', 1), ('batch_size', 1), ('workers', 0), ('seed', 0), ('patience', 1), ('freeze', 0)):
        value = getattr(args, name)
        if value is not None and value < least:
            raise UserError(f'--{name.replace("_", "-")} is {value}: give a whole number from {least} on')
    if args.lr is not None and not args.lr > 0:
        raise UserError(f'--lr is {args.lr}: give a number above 0')
    if args.epochs and 'max_epochs' in cfg.train_cfg:  # of a length in steps, set_epochs makes it later
        cfg.train_cfg.max_epochs = args.epochs
    if args.batch_size:
        cfg.train_dataloader.batch_size = args.batch_size
    if args.lr:
        cfg.optim_wrapper.optimizer.lr = args.lr
    if args.workers is not None:
        for split in ('train', 'val', 'test'):
            loader = cfg.get(f'{split}_dataloader')
            if loader:
                loader.update(num_workers=args.workers, persistent_workers=args.workers > 0)
    if args.seed is not None:
        cfg.randomness = dict(cfg.get('randomness') or {}, seed=args.seed)
    if args.freeze is not None:
        _freeze(cfg, args.freeze, args.resume or (args.start or 'scratch') != 'scratch')
    for name in args.log or ():
        backend, package = LOGGERS[name]
        if find_spec(package) is None:
            raise UserError(f'--log {name} needs the package {package}: pip install {package}')
        cfg.visualizer.vis_backends = [*(cfg.visualizer.get('vis_backends') or ()), dict(type=backend)]


def set_epochs(cfg: Config, epochs: int, images: int) -> None:
    """Give a training whose length is in steps that of some epochs over its images."""
    if 'max_iters' in cfg.train_cfg:
        steps = max(1, epochs * images // cfg.train_dataloader.batch_size)
        cfg.train_cfg.max_iters = steps
        cfg.train_cfg.val_interval = min(cfg.train_cfg.get('val_interval', steps), steps)
        for schedule in cfg.get('param_scheduler') or ():  # a warm-up is a tenth of it at most
            if schedule.get('start_factor') and schedule.get('end'):
                schedule.end = min(schedule.end, max(1, steps // 10))


def _freeze(cfg: Config, stages: int, started: bool) -> None:
    backbone = cfg.model.get('backbone') or {}
    if backbone.get('type') not in ('DiCENet', 'ESPNetv2'):
        raise UserError(f'--freeze holds the first stages of DiCENet and ESPNetv2, and the backbone is '
                        f'{backbone.get("type", "none")}: set what it has for that with --cfg-options')
    if not cfg.get('load_from') and not started and not backbone.get('init_cfg'):
        raise UserError('--freeze would hold random weights: say what to start from with --cfg-options '
                        'load_from=CHECKPOINT, or --from')
    backbone.frozen_stages = stages


def stop_early(cfg: Config, patience: int) -> None:
    """End a training after some evaluations without a better value of the metric that tells the best checkpoint.

    Raises:
        UserError: If there is no evaluation, or no such metric is named.
    """
    if not cfg.get('val_evaluator'):
        raise UserError('--patience counts evaluations, and there are none: leave --no-validate out')
    best = (cfg.get('default_hooks', {}).get('checkpoint') or {}).get('save_best')
    metrics = cfg.val_evaluator if isinstance(cfg.val_evaluator, list) else [cfg.val_evaluator]
    if best in (None, 'auto'):
        best = dict(PascalVOCMetric='pascal_voc/mAP', CocoDetectionMetric='coco/bbox_mAP',
                    TopAccuracy='accuracy/top1', MeanIoU='mIoU').get(metrics[0].get('type'))
    if not best:
        raise UserError('--patience needs to know which metric tells the best checkpoint: set '
                        'default_hooks.checkpoint.save_best to its name')
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or ()), dict(
        type='EarlyStoppingHook', monitor=best, rule='greater', min_delta=1e-9, patience=patience)]
