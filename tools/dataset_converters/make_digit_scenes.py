"""Generate DigitScenes, the built-in data set, and print where it is."""
import argparse

from dicenet_mm.datasets.digit_scenes import default_root, generate


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('--root', default=default_root(), help='parent of the folder that is written')
    parser.add_argument('--train', type=int, default=600, help='number of training images')
    parser.add_argument('--val', type=int, default=150, help='number of validation images')
    parser.add_argument(
        '--size', type=int, nargs=2, default=(320, 240), metavar=('WIDTH', 'HEIGHT'), help='of an image, px')
    parser.add_argument('--seed', type=int, default=0, help='another seed gives other scenes')
    return parser.parse_args()


if __name__ == '__main__':
    print(generate(**vars(parse_args())))
