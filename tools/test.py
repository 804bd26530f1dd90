"""Test a checkpoint.

    python tools/test.py configs/ssd_dicenet_300_coco.py work_dirs/ssd_dicenet_300_coco/epoch_100.pth --eval mAP
"""
import command


def parse_args():
    made = command.parser(__doc__)
    command.add_config_options(made)
    made.add_argument('checkpoint', help='checkpoint, or the work directory of a training, whose best one is taken')
    made.add_argument('--data', metavar='DIR', help="data of your own in place of the configuration's (docs/data.md)")
    made.add_argument('--eval', nargs='+', metavar='NAME',
                      help='metrics, such as mAP (default: the evaluator of the configuration)')
    made.add_argument('--out', metavar='FILE.json', help='write the predictions; of segmentation, a folder of masks')
    made.add_argument('--show-dir', metavar='DIR', help='draw every image with truth and prediction side by side')
    made.add_argument('--tta', action='store_true', help="average over the configuration's test-time augmentations")
    made.add_argument('--fuse', action='store_true', help='test the inference form of the model')
    return made.parse_args()


def check(args):
    from pathlib import Path

    from dicenet_mm.apis.trained import named_checkpoint
    from dicenet_mm.errors import UserError
    from dicenet_mm.paths import require_file, require_folder, require_writable

    require_file(args.config, 'configuration')
    args.checkpoint = named_checkpoint(args.checkpoint)
    if args.data:
        require_folder(args.data, '--data')

    from dicenet_mm.apis.config import load_config, select_metrics
    from dicenet_mm.apis.data_paths import require_data

    cfg = load_config(args.config, args.cfg_options, args.work_dir, imports=False)
    require_writable(cfg.work_dir, '--work-dir')
    masks = cfg.get('default_scope') == 'mmseg'
    if args.out:
        if not masks and not args.out.endswith('.json'):
            raise UserError(f'--out writes JSON: give a name that ends in .json, not {args.out}')
        if masks and Path(args.out).suffix:
            raise UserError(f'--out writes a folder of masks: give the name of a folder, not {args.out}')
        if not masks and Path(args.out).is_dir():
            raise UserError(f'--out {args.out} is a folder: give the name of a file')
        require_writable(args.out if masks else Path(args.out).parent, '--out')
    if args.show_dir:
        if 'visualization_hook' not in cfg:
            raise UserError(f'{args.config} does not say how to draw (visualization_hook): leave --show-dir out')
        require_writable(args.show_dir, '--show-dir')
    if args.tta and not ('tta_model' in cfg and 'tta_pipeline' in cfg):
        raise UserError(f'{args.config} has no test-time augmentation (tta_model, tta_pipeline): leave --tta out')
    if args.data:  # whose layout tells the metrics
        return
    if args.eval:
        select_metrics(cfg, args.eval)
    require_data(cfg, ['test'])


def run(args):
    from pathlib import Path

    from mmengine.dist import is_main_process

    from dicenet_mm.apis import (
        allow_outside,
        check_data,
        load_config,
        load_weights,
        print_data,
        read_checkpoint,
        select_metrics,
        set_launcher,
        use_data,
    )
    from dicenet_mm.checkpoint import dataset_meta
    from dicenet_mm.engine import QuietRunner
    from dicenet_mm.evaluation import write_metrics
    from dicenet_mm.inference.fuse import fuse

    cfg = load_config(args.config, args.cfg_options, args.work_dir)
    set_launcher(cfg, args.launcher)
    cfg.load_from, cfg.resume = None, False  # the weights are loaded below, all of them
    if args.eval and not args.data:  # with it, the metrics are those of its layout
        select_metrics(cfg, args.eval)
    checkpoint = read_checkpoint(args.checkpoint)
    if args.data:
        notes = use_data(cfg, args.data, ['test'], dataset_meta(checkpoint, args.checkpoint).get('classes'))
    if args.eval and args.data:
        select_metrics(cfg, args.eval)
    if args.out:
        masks = cfg.get('default_scope') == 'mmseg'
        metrics = cfg.test_evaluator if isinstance(cfg.test_evaluator, list) else [cfg.test_evaluator]
        cfg.test_evaluator = [*metrics, dict(type='MaskDump', out_dir=args.out) if masks else
                              dict(type='PredictionDump', out_file=args.out)]
    if args.show_dir:
        cfg.default_hooks.visualization = dict(cfg.visualization_hook, draw=True,
                                               test_out_dir=str(Path(args.show_dir).resolve()))
    if args.tta:
        cfg.model = dict(cfg.tta_model, module=cfg.model)
        cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    if args.allow_outside:
        allow_outside(cfg)
    contents = check_data(cfg, ['test'], thorough=bool(args.data))
    if args.data:
        print_data(contents, notes)
    runner = QuietRunner.from_cfg(cfg)
    holder, model = None, runner.model
    while hasattr(model, 'module'):  # wrappers for several processes, for augmentations, or both
        holder, model = model, model.module
    load_weights(model, checkpoint, args.checkpoint)
    if args.fuse:
        fused = fuse(model.eval())
        if holder is None:
            runner.model = fused
        else:
            holder.module = fused
    metrics = runner.test()
    if is_main_process():
        write_metrics(Path(cfg.work_dir, 'metrics.json'), metrics)
        print(f'metrics: {Path(cfg.work_dir, "metrics.json")}')


if __name__ == '__main__':
    command.main(run, parse_args, check)
