"""Draw what models reach against the time they take, from a file of `tools/benchmark.py models --out FILE.json`.

    python tools/analysis/plot_benchmark.py models.json --scores ssd_dicenet_300_coco=25.1 torchvision/mobilenet_v2=22.1

A bubble's area is the number of parameters. Without --scores the multiply-adds stand in the place of the score.
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
import command  # noqa: E402


def parse_args():
    made = command.parser(__doc__)
    made.add_argument('file', help='JSON of tools/benchmark.py models')
    made.add_argument('--scores', nargs='+', default=[], metavar='NAME=VALUE', help='AP, accuracy or mIoU of models')
    made.add_argument('--measure', default='AP', help='what the scores are')
    made.add_argument('--engines', nargs='+', help='the ones to draw, such as fused "ONNX Runtime"; all by default')
    made.add_argument('--threads', type=int, help='of the rows to draw, the first by default')
    made.add_argument('--batch', type=int, default=1)
    made.add_argument('--out', default='models.png', help='the picture')
    return made.parse_args()


def check(args):
    from dicenet_mm.errors import UserError
    from dicenet_mm.paths import require_file, require_writable

    require_file(args.file, 'file')
    require_writable(Path(args.out).absolute().parent, '--out')
    args.values = {}
    for pair in args.scores:
        name, sign, value = pair.rpartition('=')
        try:
            args.values[name] = float(value)
        except ValueError:
            raise UserError(f'--scores takes NAME=VALUE pairs, and {pair} is none') from None


def run(args):
    from dicenet_mm.visualization.speed import draw_models

    draw_models(args.file, args.out, args.values, args.measure, args.engines, args.threads, args.batch)
    print(args.out)


if __name__ == '__main__':
    command.main(run, parse_args, check)
