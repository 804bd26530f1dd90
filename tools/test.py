"""Test a checkpoint.

    python tools/test.py configs/ssd_dicenet_300_coco.py work_dirs/ssd_dicenet_300_coco/epoch_100.pth --eval mAP
"""
import command


def parse_args():
    made = command.parser(__doc__)
    command.add_config_options(made)
    made.add_argument('checkpoint', help='checkpoint, or the work directory of a training, whose best one is taken')
    data = made.add_argument_group('data')
    data.add_argument('--data', metavar='DIR', help="data of your own in place of the configuration's (docs/data.md)")
    what = made.add_argument_group('what is measured')
    what.add_argument('--eval', nargs='+', metavar='NAME',
                      help='metrics, such as mAP (default: the evaluator of the configuration)')
    what.add_argument('--tta', action='store_true', help="average over the configuration's test-time augmentations")
    what.add_argument('--fuse', action='store_true', help='test the inference form of the model')
    left = made.add_argument_group('what is left, besides metrics.json')
    left.add_argument('--out', metavar='FILE.json', help='write the predictions; of segmentation, a folder of masks')
    left.add_argument('--show-dir', metavar='DIR', help='draw every image with truth and prediction side by side')
    return made.parse_args()


def check(args):
    from dicenet_mm.apis.evaluate import EvaluateOptions

    command.options(EvaluateOptions, args).check()


def run(args):
    from dicenet_mm.apis.evaluate import EvaluateOptions, evaluate

    evaluate(command.options(EvaluateOptions, args))


if __name__ == '__main__':
    command.main(run, parse_args, check)
