"""Draw what a model finds in images, videos and streams.

    python tools/demo.py                                   (the built-in detector on two photographs)
    python tools/demo.py street.jpg
    python tools/demo.py street.jpg --model ssd_dicenet_300_coco
    python tools/demo.py street.jpg --model edgenets/espnetv2-2.0-coco-300     (--model list: all that are published)
    python tools/demo.py photos/ 'more/*.png' film.mp4 --weights CHECKPOINT --config CONFIG --out-dir found
    python tools/demo.py 0 --show                          (the first camera; Ctrl+C, or q in the window, ends it)
    python tools/demo.py rtsp://camera/stream
    find . -name '*.jpg' | python tools/demo.py -
    python tools/demo.py --serve                           (a page in the browser, for all that was trained)
"""
import command


def parse_args():
    made = command.parser(__doc__)
    made.add_argument('inputs', nargs='*', metavar='INPUT',
                      help='images, videos, folders of them, patterns, addresses (http, rtsp), numbers of cameras; - '
                           'reads such from standard input, one a line')
    model = made.add_argument_group('model')
    which = model.add_mutually_exclusive_group()
    which.add_argument('--weights', metavar='CHECKPOINT',
                       help='checkpoint, or the work directory of a training, whose best one is taken')
    which.add_argument('--model', metavar='NAME',
                       help='what was trained in work_dirs/NAME, or published weights, fetched when they are first '
                            'used; "list" lists both (default: the built-in detector)')
    model.add_argument('--config', help='configuration (default: the network that the checkpoint describes)')
    model.add_argument('--trust', action='store_true',
                       help='run the configuration in a checkpoint that has it only as code: know who made the file')
    command.add_device(model)
    model.add_argument('--batch-size', type=int, default=1, metavar='N', help='images at a time')
    model.add_argument('--no-fuse', action='store_true', help='run the model in the form it was trained in')
    results = made.add_argument_group('results')
    results.add_argument('--out-dir', default='outputs', metavar='DIR', help='where they go')
    results.add_argument('--overwrite', action='store_true', help='delete what an earlier run left in --out-dir')
    results.add_argument('--show', action='store_true', help='show them in a window, too, where there is a display')
    results.add_argument('--score-thr', type=float, default=0.3, metavar='S', help='leave out what scores less')
    results.add_argument('--opacity', type=float, metavar='A',
                         help="of the masks over the image, 0 to 1 (default: the configuration's)")
    page = made.add_argument_group('page in the browser')
    page.add_argument('--serve', action='store_true', help='show a page instead (docs/serve.md)')
    page.add_argument('--host', default='127.0.0.1', help='its address; this one is for this machine alone')
    page.add_argument('--port', type=int, default=7860, help='its port')
    return made.parse_args()


def check(args):
    from dicenet_mm.apis.inputs import find_inputs, require_apart
    from dicenet_mm.apis.results import require_new_results
    from dicenet_mm.apis.trained import find_model, named_checkpoint
    from dicenet_mm.errors import UserError
    from dicenet_mm.paths import find_config, require_writable

    if args.batch_size < 1:
        raise UserError(f'--batch-size must be at least 1, got {args.batch_size}')
    if not 0 <= args.score_thr <= 1:
        raise UserError(f'--score-thr must be from 0 to 1, got {args.score_thr}')
    if args.opacity is not None and not 0 <= args.opacity <= 1:
        raise UserError(f'--opacity must be from 0 to 1, got {args.opacity}')
    if args.model == 'list' or args.serve:
        return
    args.weights = named_checkpoint(args.weights) if args.weights else str(find_model(args.model))
    if args.config:
        find_config(args.config)
    require_writable(args.out_dir, '--out-dir')
    if not args.overwrite:
        require_new_results(args.out_dir)
    require_apart(find_inputs(args.inputs), args.out_dir)


def run(args):
    from pathlib import Path

    from dicenet_mm.apis import Inferencer, annotate, clear_results, find_inputs, trained_models
    from dicenet_mm.datasets import sample_images, sample_photographs
    from dicenet_mm.zoo import matching, table

    if args.model == 'list':
        return print(f'in work_dirs: {", ".join(trained_models()) or "none"}\n\n{table(matching(None))}')
    if args.serve:
        from dicenet_mm.apis.serve import serve, shown_models
        serve(shown_models(args.weights, args.model), lambda weights: Inferencer(
            weights, args.config, args.device, fused=not args.no_fuse, trust=args.trust), args.host, args.port)
        return
    if args.inputs:
        inputs = list(dict.fromkeys(find_inputs(args.inputs)))
    else:
        inputs = sample_images() if (args.model or '').startswith('quickstart') else sample_photographs()
    inferencer = Inferencer(args.weights, args.config, args.device, fused=not args.no_fuse, trust=args.trust)
    if args.opacity is not None:
        inferencer.visualizer.alpha = args.opacity
    out_dir = Path(args.out_dir)
    if args.overwrite:
        clear_results(out_dir)
    count = sum(1 for _ in annotate(inferencer, inputs, out_dir, args.score_thr, args.batch_size, args.show))
    print(f'{args.weights}: {count} predictions in {out_dir / "predictions.json"}, the pictures beside it')


if __name__ == '__main__':
    command.main(run, parse_args, check)
