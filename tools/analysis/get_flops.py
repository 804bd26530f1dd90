"""Count multiply-adds and parameters as the paper does.

Multiply-adds of convolutions and fully connected layers for one image; pooling, normalisation, activations and
resizing count nothing.

    python tools/analysis/get_flops.py configs/ssd_dicenet_300_coco.py
    python tools/analysis/get_flops.py configs/ssd_dicenet_300_coco.py --shape 512 512 --json
    python tools/analysis/get_flops.py configs/ssd_dicenet_300_coco.py --per-layer
"""
import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
import command  # noqa: E402


def parse_args():
    made = command.parser(__doc__)
    made.add_argument('config', help='configuration file')
    made.add_argument('--shape', nargs=2, type=int, metavar=('H', 'W'),
                      help='image size in px (default: that of the test pipeline)')
    made.add_argument('--per-layer', action='store_true', help='every layer that multiplies, in the order of the model')
    made.add_argument('--json', action='store_true', help='print JSON')
    command.add_overrides(made)
    return made.parse_args()


def run(args: argparse.Namespace) -> None:
    from dicenet_mm.analysis import complexity, image_shape, layers
    from dicenet_mm.apis import load_config
    from dicenet_mm.errors import UserError

    cfg = load_config(args.config, args.cfg_options)
    shape = tuple(args.shape or image_shape(cfg))
    if min(shape) < 1:
        raise UserError(f'--shape takes two sizes in px, got {shape[0]} {shape[1]}')
    counts = (layers if args.per_layer else complexity)(cfg, shape)
    if args.json:
        print(json.dumps(dict(config=args.config, shape=shape, parts=counts), indent=1))
        return
    print(f'{args.config} at {shape[0]} x {shape[1]} px')
    width = max(20, *map(len, counts))
    for name, count in counts.items():
        print(f'{name:>{width}} {count["macs"] / 1e6:10.{3 if args.per_layer else 1}f} M multiply-adds '
              f'{count["parameters"] / 1e6:8.{5 if args.per_layer else 3}f} M parameters'
              f'{"  " + count["kind"] if count.get("kind") else ""}')


if __name__ == '__main__':
    command.main(run, parse_args)
