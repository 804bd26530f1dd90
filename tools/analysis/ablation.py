"""Does the unit help? Units of the paper's ablations trained on a small data set, with the same seeds and budget.

Laptop scale: minutes on one core, where the paper trains on ImageNet. It shows how the units compare on these images,
not what they reach on others. Data are scikit-learn's digits, or a folder of class folders, which is read into memory.

    python tools/analysis/ablation.py
    python tools/analysis/ablation.py dwise+pointwise dimconv+dimfuse --network resnet --match-macs --seeds 5
    python tools/analysis/ablation.py --data DIR --epochs 30 --json ablation.json
"""
import argparse
import json
import sys
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from statistics import mean, stdev

sys.path.insert(0, str(Path(__file__).parents[1]))
import command  # noqa: E402

NETWORKS = dict(mobilenet='AblationMobileNet', resnet='AblationResNet', shufflenetv2='AblationShuffleNetV2')


def parse_args():
    made = command.parser(__doc__)
    made.add_argument('units', nargs='*', metavar='UNIT', help='such as dimconv+dimfuse, the DiCE unit (default: all)')
    made.add_argument('--network', choices=NETWORKS, default='shufflenetv2', help='architecture (default: %(default)s)')
    made.add_argument('--width', type=int, default=32, help='channels of its first stage (default: %(default)s)')
    made.add_argument('--match-macs', action='store_true',
                      help='give each unit the width that brings its multiply-adds closest to those of the first one')
    made.add_argument('--data', metavar='DIR', help='a folder of class folders (default: the digits of scikit-learn)')
    made.add_argument('--image-size', type=int, default=64, metavar='PX', help='(default: %(default)s)')
    made.add_argument('--seeds', type=int, default=3, metavar='N', help='seeds 0 to N - 1 (default: %(default)s)')
    made.add_argument('--epochs', type=int, default=5, help='(default: %(default)s)')
    made.add_argument('--batch-size', type=int, default=64, help='(default: %(default)s)')
    made.add_argument('--lr', type=float, default=5e-3, help='peak rate of AdamW (default: %(default)s)')
    made.add_argument('--json', metavar='FILE', help='write the results there too')
    command.add_device(made)
    return made.parse_args()


def run(args: argparse.Namespace) -> None:
    import torch

    from dicenet_mm.errors import UserError
    from dicenet_mm.layers import UNITS

    units = args.units or list(UNITS)
    unknown = [unit for unit in units if unit not in UNITS]
    if unknown:
        raise UserError(f'there is no unit {unknown[0]!r}: choose among {", ".join(UNITS)}')
    for name in ('seeds', 'epochs', 'image_size'):
        if getattr(args, name) < 1:
            raise UserError(f'--{name.replace("_", "-")} must be at least 1, got {getattr(args, name)}')
    if args.batch_size < 2:
        raise UserError(f'--batch-size must be at least 2, for batch normalisation, got {args.batch_size}')
    device = args.device or ('cuda' if torch.cuda.is_available() else 'cpu')
    classes, train, val = load_data(args.data, args.image_size, device)
    if len(train) < args.batch_size:
        raise UserError(f'there are {len(train)} images to train on, fewer than a batch of {args.batch_size}: give a '
                        'smaller --batch-size')

    shape = (args.image_size, args.image_size)
    widths = choose_widths(units, args, len(classes), shape)
    print(f'{args.network} at {args.image_size} px; {args.data or "digits of scikit-learn"}: {len(train)} images to '
          f'train on, {len(val)} to validate on, {len(classes)} classes; {args.epochs} epochs, batch {args.batch_size}')
    print(f'{"unit":22}{"width":>6}{"M multiply-adds":>17}{"M parameters":>14}{"accuracy, %":>13}{"+-":>7}   each seed')
    results = []
    for unit, width in zip(units, widths):
        def build(unit=unit, width=width):
            return make_network(args.network, unit, width, args.image_size, len(classes))
        counts = count_network(build, shape)
        scores = [accuracy(fit(build, train, args, seed, device), val, args.batch_size) for seed in range(args.seeds)]
        spread = stdev(scores) if len(scores) > 1 else float('nan')
        results.append(dict(unit=unit, width=width, **counts, accuracies=scores, mean=mean(scores), spread=spread))
        print(f'{unit:22}{width:6}{counts["macs"] / 1e6:17.2f}{counts["parameters"] / 1e6:14.3f}{mean(scores):13.2f}'
              f'{spread:7.2f}   {" ".join(f"{score:.2f}" for score in scores)}', flush=True)
    print('+- is the standard deviation over the seeds. Laptop scale: a small network, a small data set, a short '
          'training.')
    if args.json:
        options = {key: value for key, value in vars(args).items() if key not in ('json', 'traceback', 'units')}
        Path(args.json).write_text(json.dumps(dict(
            scale='laptop', date=str(date.today()), torch=torch.__version__, threads=torch.get_num_threads(),
            **options, train_images=len(train), val_images=len(val), classes=len(classes), results=results), indent=1))


def load_data(folder: str | None, image_size: int, device: str):
    """The names of the classes, and images (3, S, S) with labels, to train and to validate on.

    Raises:
        UserError: If the folder has no class folders, or they are empty or unreadable.
    """
    from mmengine.registry import DATASETS, init_default_scope

    from dicenet_mm.apis.user_data.classification import recognise_folders
    from dicenet_mm.errors import UserError
    init_default_scope('mmpretrain')
    resize = dict(type='Resize', scale=image_size, interpolation='bicubic')
    if folder is None:
        datasets = [DATASETS.build(dict(type='DigitsDataset', split=split, pipeline=[resize]))
                    for split in ('train', 'val')]
    else:
        if not Path(folder).is_dir():
            raise UserError(f'--data {folder} is not a folder: give one that holds a folder of images for each class')
        layout = recognise_folders(Path(folder), Path('work_dirs/ablation'))
        if 'train' not in layout.datasets:
            raise UserError(f'there is no train/ in {folder}')
        datasets = [DATASETS.build(dict(
            layout.datasets[split][0], metainfo=dict(classes=layout.classes),
            pipeline=[dict(type='LoadImageFromFile'), resize])) for split in ('train', 'val')]
    return datasets[0].metainfo['classes'], *(_as_tensors(dataset, device) for dataset in datasets)


def _as_tensors(dataset, device: str):
    import numpy as np
    import torch
    samples = [dataset[index] for index in range(len(dataset))]
    images = torch.from_numpy(np.stack([sample['img'] for sample in samples])).permute(0, 3, 1, 2)
    labels = torch.tensor([int(sample['gt_label']) for sample in samples])
    return torch.utils.data.TensorDataset(images.float().div(127.5).sub(1).to(device), labels.to(device))


def make_network(network: str, unit: str, width: int, image_size: int, classes: int):
    """A backbone of the ablations, global pooling and a linear layer: (N, 3, H, W) -> (N, classes)."""
    from mmengine.registry import MODELS
    from torch import nn

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone = MODELS.build(dict(type=NETWORKS[network], unit=unit, width=width, input_size=image_size))
            self.head = nn.Linear(self.backbone.out_channels[-1], classes)

        def forward(self, x):
            return self.head(self.backbone(x)[-1].mean((2, 3)))
    return Network()


def count_network(build: Callable, shape: tuple[int, int]) -> dict[str, int]:
    from dicenet_mm.analysis import count, total
    return total(*count(build, shape))


def choose_widths(units: Sequence[str], args: argparse.Namespace, classes: int, shape: tuple[int, int]) -> list[int]:
    """The width of each unit's network: the one given, or multiples of 4 that give the multiply-adds of the first."""
    if not args.match_macs:
        return [args.width] * len(units)

    def macs(unit: str, width: int) -> int:
        return count_network(lambda: make_network(args.network, unit, width, args.image_size, classes), shape)['macs']
    goal = macs(units[0], args.width)
    candidates = range(16, 4 * args.width + 1, 4)
    return [args.width, *(min(candidates, key=lambda width: abs(macs(unit, width) - goal)) for unit in units[1:])]


def fit(build: Callable, train, args: argparse.Namespace, seed: int, device: str):
    """A network trained from this seed, which sets its weights and the order of the images.

    The statistics of its batch normalisations are those of the images it was trained on, under the final weights.
    """
    import torch
    from mmengine.model import initialize
    from torch.nn.functional import cross_entropy
    from torch.optim.swa_utils import update_bn
    from torch.utils.data import DataLoader
    torch.manual_seed(seed)
    model = build()
    initialize(model.backbone, model.backbone.init_cfg)  # init_weights() would log every parameter
    model.to(device).train()
    loader = DataLoader(train, args.batch_size, shuffle=True, drop_last=True)
    optimizer = torch.optim.AdamW(model.parameters(), args.lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, args.lr, args.epochs * len(loader))
    for _ in range(args.epochs):
        for images, labels in loader:
            optimizer.zero_grad()
            cross_entropy(model(images), labels).backward()
            optimizer.step()
            schedule.step()
    update_bn(loader, model)  # after so few steps the running statistics lag behind the weights, more or less by unit
    return model.eval()


def accuracy(model, val, batch_size: int) -> float:
    """Share of images whose class is found, %."""
    import torch
    from torch.utils.data import DataLoader
    with torch.inference_mode():
        right = sum((model(images).argmax(1) == labels).sum().item() for images, labels in DataLoader(val, batch_size))
    return 100 * right / len(val)


if __name__ == '__main__':
    command.main(run, parse_args)
