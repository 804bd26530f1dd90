"""Draw what training sees: images as the augmentations leave them, with their boxes, masks or labels.

    python tools/analysis/browse_dataset.py configs/rtm_dicenet_320_small_data.py --data my_data
    python tools/analysis/browse_dataset.py CONFIG --data my_data --number 4 --times 6    (how much one image varies)
    python tools/analysis/browse_dataset.py CONFIG --split test                           (what is measured with)
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
import command  # noqa: E402


def parse_args():
    made = command.parser(__doc__)
    made.add_argument('config', help='configuration')
    made.add_argument('--data', metavar='DIR', help="data of your own in place of the configuration's (docs/data.md)")
    made.add_argument('--split', choices=['train', 'val', 'test'], default='train', help='whose images')
    made.add_argument('--number', type=int, default=16, metavar='N', help='images, drawn by the seed')
    made.add_argument('--times', type=int, default=1, metavar='N', help='how often each goes through the augmentations')
    made.add_argument('--seed', type=int, default=0, metavar='N', help='of the choice and of the augmentations')
    made.add_argument('--out-dir', default='browsed', metavar='DIR',
                      help='where the pictures go, and all of them on one, sheet.jpg')
    command.add_overrides(made)
    return made.parse_args()


def check(args):
    from dicenet_mm.apis.config import load_config
    from dicenet_mm.apis.data_paths import require_data
    from dicenet_mm.errors import UserError
    from dicenet_mm.paths import require_folder, require_writable

    if args.number < 1 or args.times < 1:
        raise UserError('--number and --times are whole numbers from 1 on')
    cfg = load_config(args.config, args.cfg_options, imports=False)
    require_writable(args.out_dir, '--out-dir')
    if args.data:
        require_folder(args.data, '--data')
    else:
        require_data(cfg, [args.split])


def run(args: argparse.Namespace) -> None:
    import mmcv

    from dicenet_mm.apis import load_config, use_data
    from dicenet_mm.apis.browse import augmented
    from dicenet_mm.visualization.sheet import contact_sheet

    cfg = load_config(args.config, args.cfg_options, args.out_dir)
    if args.data:
        use_data(cfg, args.data, [args.split])
    pictures = []
    for name, picture in augmented(cfg, args.split, args.number, args.times, args.seed):
        mmcv.imwrite(picture[..., ::-1], str(Path(args.out_dir, f'{len(pictures):04d}_{name}.jpg')))
        pictures.append(picture)
    sheet = contact_sheet(pictures, args.times if args.times > 1 else 4)
    mmcv.imwrite(sheet[..., ::-1], str(Path(args.out_dir, 'sheet.jpg')))
    print(f'{len(pictures)} pictures and {Path(args.out_dir, "sheet.jpg")}')


if __name__ == '__main__':
    command.main(run, parse_args, check)
