"""The paper's tables with our multiply-adds and parameters beside the published ones, and Figure 2.

Ends with exit code 1 if a count is off by more than its table's tolerance. Scores are the paper's: nothing is trained.

    python tools/analysis/paper_tables.py
    python tools/analysis/paper_tables.py --tables I VI
    python tools/analysis/paper_tables.py --tables --figure figure_2.png
"""
import argparse
import json
import sys
from functools import lru_cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))
import command  # noqa: E402
from paper import FIGURE_2, TABLES, Row, Table  # noqa: E402

CONFIGS = Path(__file__).parents[2] / 'configs'
NUMBERS = [table.number for table in TABLES]


def parse_args():
    made = command.parser(__doc__)
    made.add_argument('--tables', nargs='*', choices=NUMBERS, default=NUMBERS, metavar='NUMBER',
                      help=f'which ones (default: all of {" ".join(NUMBERS)})')
    made.add_argument('--json', action='store_true', help='print JSON')
    made.add_argument('--figure', metavar='FILE', help='draw Figure 2 into this image')
    return made.parse_args()


def run(args: argparse.Namespace) -> None:
    made = [(table, [compare(row, table) for row in table.rows]) for table in TABLES if table.number in args.tables]
    if args.json:
        print(json.dumps([dict(table=table.number, title=table.title, rows=rows) for table, rows in made], indent=1))
    else:
        for table, rows in made:
            show(table, rows)
    if args.figure:
        draw_figure_2(args.figure)
        print(f'Figure 2: {args.figure}', file=sys.stderr)
    off = [f'{table.number}, {row["name"]}' for table, rows in made for row in rows if not row['ok']]
    if off:
        sys.exit(f'off by more than the tolerance: {"; ".join(off)}')


def compare(row: Row, table: Table) -> dict:
    """Published figures of a row, ours (M), how far they are off (a share), and whether that is tolerated."""
    published, source = dict(macs=row.macs, parameters=row.parameters), ''
    if row.model.startswith('torchvision/') and row.macs is None:
        published, source = published_by_torchvision(row.model), 'torchvision'
    made = dict(name=row.name, model=row.model, options=row.options, published=published, source=source,
                scores=row.scores, ours={}, off={}, ok=True)
    if row.model:
        from dicenet_mm.analysis import total
        made['ours'] = {key: value / 1e6 for key, value in total(*counted(row)).items()}
        tolerance = row.tolerance or table.tolerance
        for key, value in published.items():
            if value is not None:
                difference = made['ours'][key] - value
                made['off'][key] = difference / value
                made['ok'] &= abs(difference) <= max(tolerance * value, table.slack)
    return made


def counted(row: Row):
    """The network of a row, and what one image takes in it."""
    return _counted(row.model, tuple(row.options.items()), row.shape)


@lru_cache  # rows of two tables can be one network
def _counted(model: str, options: tuple, shape: tuple[int, int] | None):
    from dicenet_mm.analysis import count, count_config, image_shape
    from dicenet_mm.apis import load_config
    if not model.startswith('torchvision/'):
        cfg = load_config(CONFIGS / model, dict(options))
        return count_config(cfg, shape or image_shape(cfg))
    from torchvision.models import get_model
    name = model.removeprefix('torchvision/')
    if not name.startswith('ssd'):
        return count(lambda: get_model(name), shape or (224, 224))
    # what follows the heads, among it the suppression of overlapping boxes, needs values
    return count(lambda: get_model(name, weights=None, weights_backbone=None), shape,
                 lambda detector, image: detector.head(list(detector.backbone(image).values())))


def published_by_torchvision(model: str) -> dict[str, float]:
    """Multiply-adds and parameters, M, of torchvision's own documentation."""
    from torchvision.models import get_model_weights
    meta = get_model_weights(model.removeprefix('torchvision/')).DEFAULT.meta
    return dict(macs=meta['_ops'] * 1e3, parameters=round(meta['num_params'] / 1e6, 3))


def show(table: Table, rows: list[dict]) -> None:
    print(f'\nTable {table.number}. {table.title}')
    print(f'{"":52}{"multiply-adds, M":^25}   {"parameters, M":^25}')
    print(f'{"":52}' + f'{"published":>9}{"ours":>8}{"off":>8}   ' * 2 + 'scores of the paper')
    for row in rows:
        width = row['options'].get('model.backbone.width')
        name = f'{row["name"]}, {width} channels' if width else row['name']
        figures = '   '.join(_figures(row, key, digits) for key, digits in (('macs', 1), ('parameters', 3)))
        print(f'{name:52}{figures}   {row["scores"] or row["source"]}{"" if row["ok"] else "   <- off"}')
    slack = f' or {table.slack:g} M' if table.slack else ''
    print(f'Tolerance: {100 * table.tolerance:g} %{slack}. {table.notes}')


def _figures(row: dict, key: str, digits: int) -> str:
    published, ours, off = row['published'][key], row['ours'].get(key), row['off'].get(key)
    return (f'{"-" if published is None else f"{published:g}":>9}{"-" if ours is None else f"{ours:.{digits}f}":>8}'
            f'{"" if off is None else f"{off:+.1%}":>8}')


def draw_figure_2(path: str) -> None:
    """Figure 2: shares of the multiply-adds by kind of convolution, as stacked bars."""
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot

    from dicenet_mm.analysis import KINDS, macs_by_kind, total
    figure, axes = pyplot.subplots(figsize=(11, 4.8), layout='constrained')
    networks = [counted(row) for row in FIGURE_2]
    shares = [{kind: 100 * count / total(*network)['macs'] for kind, count in macs_by_kind(*network).items()}
              for network in networks]
    bottom = [0.] * len(shares)
    colours = dict(zip(KINDS, ('#bab0ac', '#f28e2b', '#e15759', '#4e79a7', '#76b7b2', '#59a14f')))
    for kind in KINDS:
        heights = [share[kind] for share in shares]
        bars = axes.bar(range(len(shares)), heights, 0.75, bottom, label=kind, color=colours[kind])
        axes.bar_label(bars, [f'{height:.0f}' if height >= 4 else '' for height in heights], label_type='center',
                       color='white', fontsize=9)
        bottom = [low + height for low, height in zip(bottom, heights)]
    axes.set_xticks(range(len(shares)), [f'{row.name}\n{total(*network)["macs"] / 1e6:.0f} M'
                                         for row, network in zip(FIGURE_2, networks)], fontsize=9)
    axes.set(ylabel='share of the multiply-adds, %', ylim=(0, 100),
             title='Multiply-adds by kind of convolution, ImageNet at 224 px')
    axes.spines[['top', 'right']].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], loc='center left', bbox_to_anchor=(1, 0.5), frameon=False)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


if __name__ == '__main__':
    command.main(run, parse_args)
