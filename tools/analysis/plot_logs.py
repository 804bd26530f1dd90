"""Curves of one training or several, side by side.

    python tools/analysis/plot_logs.py work_dirs/mine
    python tools/analysis/plot_logs.py work_dirs/a work_dirs/b --metrics loss lr coco/bbox_mAP --out compared.png

What they are drawn from are the scalars that mmengine writes, for --resume too: */vis_data/scalars.json.
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
import command  # noqa: E402


def parse_args():
    made = command.parser(__doc__)
    made.add_argument('runs', nargs='+', metavar='RUN', help='work directory, or a file scalars.json of one')
    made.add_argument('--metrics', nargs='+', metavar='NAME',
                      help='what to draw; the names there are stand in the message about one that is not (default: '
                           'loss, rate and the first metric)')
    made.add_argument('--out', default='curves.png', metavar='FILE', help='the picture')
    made.add_argument('--window', type=int, default=50, metavar='N', help='values that a thick line averages over')
    return made.parse_args()


def run(args: argparse.Namespace) -> None:
    from dicenet_mm.apis.logs import main_metrics, read_scalars, run_names
    from dicenet_mm.errors import UserError
    from dicenet_mm.paths import require_writable
    from dicenet_mm.visualization.curves import draw_curves

    require_writable(Path(args.out).parent, '--out')
    runs = dict(zip(run_names(args.runs), map(read_scalars, args.runs)))
    there = list(dict.fromkeys(name for curves in runs.values() for name in curves))
    missing = [name for name in args.metrics or () if name not in there]
    if missing:
        raise UserError(f'no training has logged {", ".join(missing)}; there are {", ".join(there)}')
    draw_curves(args.out, runs, args.metrics or main_metrics(there), 'step', args.window)
    for name, curves in runs.items():
        for metric in args.metrics or main_metrics(there):
            if metric in curves:
                steps, values = curves[metric]
                print(f'{name}: {metric} {values[-1]:.4g} at step {steps[-1]}, from {values.min():.4g} to '
                      f'{values.max():.4g}')
    print(args.out)


if __name__ == '__main__':
    command.main(run, parse_args)
