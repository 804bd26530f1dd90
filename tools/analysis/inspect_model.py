"""Show what a model does wrong on its test data.

    python tools/analysis/inspect_model.py CONFIG CHECKPOINT --data my_data

Of a detector: average precision of each class and size of objects (average_precision.csv), precision and recall
(precision_recall.png), which classes are taken for which (confusion_matrix.png, with the package supervision), what is
right, wrong and missed in each image (images.csv) and, drawn in green, red and blue, in the worst ones (worst.jpg).
Of a classifier and a segmentor: the same as far as there is such a thing.
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
import command  # noqa: E402


def parse_args():
    made = command.parser(__doc__)
    made.add_argument('config', help='configuration, whose test data it is')
    made.add_argument('checkpoint', help='checkpoint, a name of published weights, or the work directory of a training')
    made.add_argument('--data', metavar='DIR', help="data of your own in place of the configuration's (docs/data.md)")
    made.add_argument('--out-dir', default='inspected', metavar='DIR', help='where tables and pictures go')
    made.add_argument('--score-thr', type=float, default=0.3, metavar='S',
                      help='detections that score less count as none in the matrix and the pictures')
    made.add_argument('--worst', type=int, default=12, metavar='N', help='images that are drawn')
    made.add_argument('--batch-size', type=int, default=8, metavar='N', help='images at a time')
    command.add_device(made)
    command.add_overrides(made)
    return made.parse_args()


def check(args):
    from dicenet_mm.apis.inspection import InspectOptions

    command.options(InspectOptions, args).check()


def run(args: argparse.Namespace) -> None:
    from dicenet_mm.apis.inspection import InspectOptions, inspect_model

    print(*inspect_model(command.options(InspectOptions, args)), sep='\n')


if __name__ == '__main__':
    command.main(run, parse_args, check)
