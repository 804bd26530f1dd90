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
    from dicenet_mm.apis.train import TrainOptions

    command.options(TrainOptions, args).check()


def run(args):
    from dicenet_mm.apis.train import TrainOptions, train

    train(command.options(TrainOptions, args))


if __name__ == '__main__':
    command.main(run, parse_args, check)
