"""A picture of what models reach against the time they take."""
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from dicenet_mm.errors import UserError


def draw_models(file: str | Path, out: str | Path, scores: Mapping[str, float], measure: str = 'AP',
                engines: Sequence[str] | None = None, threads: int | None = None, batch: int = 1) -> None:
    """Draw a bubble for each model and engine: time to the right, score upwards, parameters as the area.

    Args:
        file: JSON that ``tools/benchmark.py models --out`` wrote.
        out: The picture.
        scores: Of models by their names; others are left out. Where there are none, multiply-adds take their place.
        measure: What the scores are.
        engines: Those to draw; all by default.
        threads: Of the measurement; of the first in the file by default.
        batch: Images at a time.

    Raises:
        UserError: If the file is of another kind, or holds none of what is asked for.
    """
    try:
        rows = [row for row in json.loads(Path(file).read_text()) if row.get('name') == f'models, batch {batch}']
    except (ValueError, AttributeError) as error:
        raise UserError(f'{file} cannot be read as a file of tools/benchmark.py: {error}') from None
    row = next((row for row in rows if threads in (None, row['threads'])), None)
    if row is None:
        raise UserError(f'{file} has no models at batch {batch}' + (f' and {threads} threads' if threads else ''))
    unknown = set(scores) - set(row['parameters'])
    if unknown:
        raise UserError(f'{file} has no {", ".join(sorted(unknown))}; it has {", ".join(row["parameters"])}')
    points = []
    for contender, time in row['times'].items():
        model = row['model_of'][contender]
        engine = contender.removeprefix(f'{model}, ')
        if (not scores or model in scores) and (not engines or engine in engines):
            height = scores[model] if scores else row['contenders_macs'][contender] / 1e9
            points.append((engine, model, time['lowest'], height, row['parameters'][model]))
    if not points:
        raise UserError(f'{file} has none of the engines {", ".join(engines or ())}')
    _draw(points, measure if scores else 'multiply-adds, billions', out,
          f'{row["machine"].split(",")[0]} ({row["isa"]}), threads: {row["threads"]}, batch {batch}, {row["date"]}')


def _draw(points: Sequence[tuple[str, str, float, float, int]], measure: str, out: str | Path, title: str) -> None:
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, ScalarFormatter

    figure = Figure(figsize=(9, 6), layout='constrained')
    axes = figure.subplots()
    engines = list(dict.fromkeys(point[0] for point in points))
    for index, engine in enumerate(engines):
        own = [point for point in points if point[0] == engine]
        axes.scatter([p[2] for p in own], [p[3] for p in own], s=[60 * p[4] / 1e6 + 20 for p in own], alpha=0.45,
                     color=f'C{index}', edgecolors='black', linewidths=0.6, label=engine)
    fastest = {}
    for point in sorted(points, key=lambda point: point[2]):
        fastest.setdefault(point[1], point)
    for index, (_, model, time, height, parameters) in enumerate(sorted(fastest.values(), key=lambda point: -point[3])):
        above = index % 2 == 0  # neighbours in height keep out of each other's way
        axes.annotate(f'{model}\n{parameters / 1e6:.1f} M, {time:.3g} ms', (time, height), fontsize=8,
                      xytext=(0, 11 if above else -11), textcoords='offset points', ha='center',
                      va='bottom' if above else 'top')
    axes.set_xscale('log')
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter('')
    axes.margins(0.12, 0.2)
    axes.grid(alpha=0.3)
    axes.set(xlabel='ms a batch, lowest of the rounds (logarithmic)', ylabel=measure, title=title)
    for handle in axes.legend(title='engine; area: parameters').legend_handles:
        handle.set_sizes([60])
    figure.savefig(out, dpi=110)
