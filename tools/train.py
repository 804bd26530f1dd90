"""Train a model.

    python tools/train.py configs/ssd_dicenet_300_coco.py
    python tools/train.py configs/ssd_dicenet_300_coco.py --resume
    python tools/train.py configs/rtm_dicenet_320_small_data.py --data my_data
    python tools/train.py configs/ssd_dicenet_300_small_data.py --data my_data --epochs 50 --patience 5
    torchrun --nproc-per-node 4 tools/train.py configs/ssd_dicenet_300_coco.py --auto-scale-lr
"""
import command


def parse_args():
    made = command.parser(__doc__)
    command.add_config_options(made)
    data = made.add_argument_group('data')
    data.add_argument('--data', metavar='DIR', help="data of your own in place of the configuration's (docs/data.md)")
    data.add_argument('--batch-size', type=int, metavar='N', help='training images in a step of each process')
    data.add_argument('--workers', type=int, metavar='N', help='processes that load images, of each data loader')
    length = made.add_argument_group('length and rate')
    length.add_argument('--epochs', type=int, metavar='N', help='length of the training')
    length.add_argument('--patience', type=int, metavar='N', help='stop after N evaluations without a better one')
    length.add_argument('--lr', type=float, metavar='RATE', help='learning rate')
    length.add_argument('--auto-scale-lr', action='store_true',
                        help='scale the learning rate with the batch: images x processes x accumulated steps')
    how = made.add_argument_group('how it trains')
    how.add_argument('--from', dest='start', metavar='WEIGHTS',
                     help="what to start from instead of the configuration's: a checkpoint, a name of published "
                          'weights, or "scratch"')
    how.add_argument('--seed', type=int, metavar='N', help='the same weights and batches in every run')
    how.add_argument('--freeze', type=int, metavar='N', help='hold the stem and the first N stages as they are')
    how.add_argument('--amp', action='store_true',
                     help='automatic mixed precision: on a GPU, or in bfloat16 on a CPU that has it')
    how.add_argument('--no-validate', action='store_true', help='train without evaluating')
    how.add_argument('--log', nargs='+', metavar='NAME', default=[],
                     choices=['tensorboard', 'wandb', 'mlflow', 'clearml', 'dvclive', 'aim'],
                     help='log to tensorboard, wandb, mlflow, clearml, dvclive or aim, too')
    again = made.add_argument_group('where there is a training already')
    again.add_argument('--resume', nargs='?', const='auto', metavar='CHECKPOINT',
                       help='continue from a checkpoint, the newest one of the work directory by default')
    again.add_argument('--overwrite', action='store_true', help='delete its checkpoints and start anew')
    return made.parse_args()


def check(args):
    from dicenet_mm.errors import UserError
    from dicenet_mm.paths import require_file, require_folder, require_writable

    require_file(args.config, 'configuration')
    if args.data:
        require_folder(args.data, '--data')
    if args.resume and args.overwrite:
        raise UserError('--resume continues a training and --overwrite deletes it: give one of them')

    from dicenet_mm.apis.config import load_config
    from dicenet_mm.apis.data_paths import require_data
    from dicenet_mm.apis.habits import apply_habits
    from dicenet_mm.apis.trained import named_checkpoint
    from dicenet_mm.apis.work_dir import require_new_training

    cfg = load_config(args.config, args.cfg_options, args.work_dir, imports=False)
    apply_habits(cfg, args)
    require_writable(cfg.work_dir, '--work-dir')
    for checkpoint in (args.resume, args.start, cfg.get('load_from')):
        if checkpoint and checkpoint not in ('auto', 'scratch'):
            named_checkpoint(checkpoint)
    if args.auto_scale_lr and 'auto_scale_lr' not in cfg:
        raise UserError(f'{args.config} does not say which batch its learning rate is for (auto_scale_lr)')
    if not args.data:
        require_data(cfg, ['train'] if args.no_validate else ['train', 'val'])
    if not args.resume and not args.overwrite:
        require_new_training(cfg.work_dir)


def run(args):
    import torch

    from dicenet_mm.apis import (
        allow_outside,
        check_data,
        latest_checkpoint,
        load_config,
        load_weights,
        print_data,
        read_checkpoint,
        read_pretrained,
        require_fit,
        set_launcher,
        use_data,
    )
    from dicenet_mm.apis.habits import apply_habits, set_epochs, stop_early
    from dicenet_mm.apis.summary import print_outcome, print_start
    from dicenet_mm.apis.work_dir import clear_training, finished
    from dicenet_mm.datasets import report_images
    from dicenet_mm.engine import QuietRunner, cpu_has_bfloat16
    from dicenet_mm.errors import UserError

    cfg = load_config(args.config, args.cfg_options, args.work_dir)
    apply_habits(cfg, args)
    set_launcher(cfg, args.launcher)
    splits = ['train'] if args.no_validate else ['train', 'val']
    notes = use_data(cfg, args.data, splits) if args.data else []
    if args.start:
        cfg.load_from = None if args.start == 'scratch' else args.start
        if 'backbone' in cfg.model:
            cfg.model.backbone.init_cfg = None
    if args.no_validate:
        cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    if args.patience:
        stop_early(cfg, args.patience)
    if args.resume:
        found = latest_checkpoint(cfg.work_dir) if args.resume == 'auto' else args.resume
        if found:
            cfg.load_from, cfg.resume = str(found), True
        else:
            command.say(f'no checkpoint in {cfg.work_dir} to resume from: training starts at the beginning')
    checkpoint = read_checkpoint(cfg.load_from) if cfg.load_from else None
    start = None if cfg.resume else read_pretrained(cfg)
    if args.amp and torch.cuda.is_available():
        cfg.optim_wrapper.update(type='AmpOptimWrapper', loss_scale='dynamic')
    elif args.amp:
        if not cpu_has_bfloat16():
            raise UserError('--amp needs a GPU, or a CPU that calculates in bfloat16 (AVX512-BF16 or AMX), and here is '
                            'neither: leave it out')
        cfg.optim_wrapper.type = 'BFloat16OptimWrapper'
    if args.auto_scale_lr:
        # mmengine compares with the images of one step, which are a part of the batch where steps are accumulated
        steps = cfg.optim_wrapper.get('accumulative_counts', 1)
        cfg.auto_scale_lr.update(enable=True, base_batch_size=cfg.auto_scale_lr.base_batch_size / steps)
    if args.allow_outside:
        allow_outside(cfg)
    contents = check_data(cfg, splits, thorough=bool(args.data))
    if args.data:
        print_data(contents, notes)
    if args.epochs:
        set_epochs(cfg, args.epochs, contents['train'].images)
    done = cfg.resume and finished(cfg, checkpoint.get('meta', {}))
    if done:
        command.say(f'{cfg.load_from} has been trained for {done}: there is nothing left to do. For a longer '
                    f'training, start one from its weights: --cfg-options load_from={cfg.load_from} with another '
                    '--work-dir; to start anew, --overwrite')
        return
    updates = (cfg.train_cfg.get('max_epochs', 0) * (contents['train'].images // cfg.train_dataloader.batch_size)
               // cfg.optim_wrapper.get('accumulative_counts', 1))
    if 0 < updates < 500:
        command.say(f'note: {updates} updates of the weights are few for a training from random weights. Raise '
                    '--epochs, lower optim_wrapper.accumulative_counts, or start from load_from=CHECKPOINT')
    runner = QuietRunner.from_cfg(cfg)
    model = getattr(runner.model, 'module', runner.model)  # inside a wrapper for several processes
    if start:
        require_fit(model, start, cfg.model.backbone.init_cfg.checkpoint)
    if checkpoint:
        print(f'{"continues" if cfg.resume else "starts"} from {cfg.load_from}' +
              ('' if cfg.resume else ' (--from scratch: from random weights)'))
        (load_weights if cfg.resume else require_fit)(model, checkpoint, cfg.load_from)
    if args.overwrite and command.is_first():
        clear_training(cfg.work_dir, keep=[cfg.load_from] if cfg.load_from else [])
    print_start(runner, contents)
    runner.train()
    report_images(runner.train_dataloader.dataset)
    print_outcome(runner, args.config, args.data)


if __name__ == '__main__':
    command.main(run, parse_args, check)
