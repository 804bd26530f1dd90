"""What `tools/benchmark.py --device cuda` measures on a card: operators, units, networks, detectors, training.

A figure is the median of single calls between events, after warm-up, in milliseconds; beside it the host's time of
issuing one call. Floors are what copying an operator's bytes and issuing its instructions would take. PyTorch's
convolutions use TF32 by default and its matrix products do not; each table says what was set.
"""
import copy
import json
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn

import dicenet_mm
from dicenet_mm.errors import UserError
from dicenet_mm.layers import DiCEUnit
from dicenet_mm.ops import backend, dim_conv, reference

DEVICE = 'cuda'
#: Thread instructions a voxel that a fused unit is allowed here: what is aimed at, not counted yet.
UNIT_INSTRUCTIONS = 200
Case = tuple[str, Callable, dict]  # name, one call, what is known of it


def milliseconds(call: Callable, seconds: float) -> dict[str, float]:
    """Median and spread of a call on the card, the host's time of issuing it, and how many were measured."""
    for _ in range(3):
        call()
    torch.cuda.synchronize()
    start = time.perf_counter()
    call()
    host = time.perf_counter() - start
    torch.cuda.synchronize()
    once = max(time.perf_counter() - start, 1e-5)
    count = max(5, min(100, int(seconds / once)))
    events = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(count)]
    for first, last in events:
        first.record()
        call()
        last.record()
    torch.cuda.synchronize()
    times = [first.elapsed_time(last) for first, last in events]
    median = statistics.median(times)
    return dict(median=median, spread=(max(times) - min(times)) / median, host=1e3 * host, calls=count)


def rates() -> dict[str, float]:
    """Bytes a second of a large copy; instructions a second that all multiprocessors issue, by their clock."""
    source = torch.randn(2 ** 27, device=DEVICE)
    target = torch.empty_like(source)
    copying = milliseconds(lambda: target.copy_(source), 0.3)['median']
    card = torch.cuda.get_device_properties(0)
    clock = getattr(card, 'clock_rate', 0) * 1e3 or 1.5e9  # Hz; not in every version of PyTorch
    return dict(bytes=2e3 * source.nbytes / copying, instructions=card.multi_processor_count * 4 * 32 * clock)


def plain(call: Callable) -> Callable:
    def run():
        with backend('reference'):
            return call()
    return run


def units(sizes: list[int], list_of_units: tuple) -> Iterator[tuple[int, int, int, int]]:
    """Channels, side px, kernels' px and count."""
    for size in sizes:
        for channels, stride, kernel, count in list_of_units:
            yield channels, -(-size // stride), kernel, count


def operator_cases(args, context) -> Iterator[Case]:
    for channels, side, kernel, _ in units(args.sizes, context.units):
        for batch in args.batch:
            for dtype in (torch.float32, torch.float16):
                x = torch.randn(batch, channels, side, side, device=DEVICE, dtype=dtype)
                weights = [torch.randn(n, 3, 3, device=DEVICE, dtype=dtype) for n in (channels, kernel, kernel)]
                name = f'{channels}x{side}x{side} batch {batch} {short(dtype)}'
                yield f'dim_conv {name}', partial(dim_conv, x, *weights), dict(bytes=4 * x.nbytes)
                if dtype == torch.float32:
                    yield f'dim_conv {name}, plain', partial(reference.dim_conv, x, *weights), {}
                    grad = torch.randn(batch, 3 * channels, side, side, device=DEVICE)
                    yield (f'dim_conv backward {name}',
                           partial(torch.ops.dicenet_mm.dim_conv_backward, grad, x, *weights, [True] * 4),
                           dict(bytes=8 * x.nbytes))


def unit_cases(args, context) -> Iterator[Case]:
    for channels, side, kernel, count in units(args.sizes, context.units):
        unit = context.calibrated(DiCEUnit(channels, channels, (kernel, kernel)), torch.randn(2, channels, side, side))
        unit, fused = unit.to(DEVICE), unit.fused().to(DEVICE)
        for batch in args.batch:
            x = torch.randn(batch, channels, side, side, device=DEVICE)
            name, facts = f'{channels}x{side}x{side} batch {batch}', dict(count=count)
            yield f'unit {name}, plain', plain(partial(unit, x)), facts
            for dtype in (torch.float32, torch.float16):
                y = x.to(dtype)
                yield (f'unit {name}, fused {short(dtype)}', partial(fused, y),
                       dict(bytes=4 * y.nbytes, instructions=UNIT_INSTRUCTIONS * x.numel(), **facts))


def ways(name: str, model: nn.Module, x: Tensor, fused: bool, compiles: bool) -> Iterator[Case]:
    """A network as it is run: eager, half in channels_last, autocast, compiled, and as a graph."""
    ours = {'fused': dicenet_mm.fuse(model)} if fused else {}
    half = copy.deepcopy(model).half()
    for way, network in {'eager': model, **ours}.items():
        yield f'{name}, {way}', partial(network, x), {}
        yield f'{name}, {way} graph', graphed(network, x), {}
        yield f'{name}, {way} autocast', torch.autocast(DEVICE, torch.float16)(partial(network, x)), {}
    if fused:
        network, y = dicenet_mm.fuse(half), x.half()
        yield f'{name}, fused half', partial(network, y), {}
        yield f'{name}, fused half graph', graphed(network, y), {}
    last = dict(memory_format=torch.channels_last)
    half, y = half.to(**last), x.half().to(**last)
    yield f'{name}, eager half channels_last graph', graphed(half, y), {}
    if compiles:
        torch.compiler.reset()
        network = torch.compile(copy.deepcopy(model), mode='reduce-overhead')
        yield f'{name}, torch.compile reduce-overhead', partial(network, x), {}


def graphed(model: nn.Module, x: Tensor) -> Callable:
    from dicenet_mm.inference.graph import record
    made = []

    def run():
        if not made:
            made.append(record(model, x))
        return made[0](x)
    return run


def network_cases(args, context) -> Iterator[Case]:
    example = torch.randn(2, 3, 224, 224)
    networks = {'DiCENet s=2.4': context.Classifier(2.4),
                **{peer: getattr(torchvision.models, peer)() for peer in context.peers}}
    networks = {name: context.calibrated(network, example).to(DEVICE) for name, network in networks.items()}
    for batch in args.batch:
        x = torch.randn(batch, 3, 224, 224, device=DEVICE)
        for name, network in networks.items():
            yield from ways(f'{name} at 224 batch {batch}', network, x, name.startswith('DiCENet'), args.compile)
    x = torch.randn(1, 3, 300, 300, device=DEVICE)
    yield from ways('DiCENet s=2.4 at 300 batch 1', networks['DiCENet s=2.4'], x, True, False)


def detector_cases(args, context) -> Iterator[Case]:
    """Whole detectors, images to raw outputs."""
    from peer_detectors import detectors
    for name, (network, side) in detectors().items():
        network = context.calibrated(network, torch.randn(2, 3, side, side)).to(DEVICE)
        for batch in args.batch:
            x = torch.randn(batch, 3, side, side, device=DEVICE)
            for way, model in {'eager': network, **({'fused': dicenet_mm.fuse(network)} if 'DiCENet' in name
                                                    else {})}.items():
                yield f'{name} batch {batch}, {way}', partial(model, x), {}
                yield f'{name} batch {batch}, {way} graph', graphed(model, x), {}


def training_cases(args, context) -> Iterator[Case]:
    for amp in (False, True):
        for way in ('ours', 'plain'):
            step = partial(training_step, context.Classifier(2.4).to(DEVICE).train(),
                           torch.randn(128, 3, 224, 224, device=DEVICE), amp)
            name = f'training step s=2.4 at 224 batch 128{" autocast" if amp else ""}, {way}'
            yield name, plain(step) if way == 'plain' else step, dict(peak=True)


def training_step(model: nn.Module, x: Tensor, amp: bool) -> None:
    """A forward and a backward pass, as a scaled loss asks for them."""
    model.zero_grad(set_to_none=True)
    with torch.enable_grad():
        with torch.autocast(DEVICE, torch.float16, enabled=amp):
            loss = model(x).square().mean()
        (loss * 1024).backward()


CASES = dict(operator=operator_cases, unit=unit_cases, network=network_cases, detector=detector_cases,
             training=training_cases)


def short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix('torch.')


@torch.no_grad()
def measure(args, context) -> list[dict]:
    """Print and return the figures of the cases that ``args`` asks for.

    Args:
        args: Of tools/benchmark.py.
        context: What that file has: units, peers, Classifier and calibrated.
    """
    card = rates()
    machine = dict(machine=torch.cuda.get_device_name(), torch=torch.__version__, cuda=torch.version.cuda,
                   tf32_convolutions=torch.backends.cudnn.allow_tf32,
                   tf32_products=torch.backends.cuda.matmul.allow_tf32, date=time.strftime('%Y-%m-%d'))
    print(*(f'{key}: {value}' for key, value in machine.items()), sep='\n')
    print(f'copy: {card["bytes"] / 1e9:.0f} GB/s')
    results, end = [], time.monotonic() + args.limit
    for what in args.what:
        if what not in CASES:
            print(f'{what}: not measured on a card, where there are {", ".join(CASES)}')
            continue
        try:
            for name, call, facts in CASES[what](args, context):
                if time.monotonic() > end:
                    print(f'the limit of {args.limit:.0f} s is over: what is left was not measured')
                    return results
                results.append(dict(name=name, **machine, **figure(name, call, facts, card, args.seconds)))
        except ImportError as error:  # OpenMMLab is not needed for operators and units
            print(f'{what}: not measured: {error}')
    return results


def figure(name: str, call: Callable, facts: dict, card: dict[str, float], seconds: float) -> dict:
    """One case's figures, printed; a case that fails says so and does not end the others."""
    if facts.get('peak'):
        torch.cuda.reset_peak_memory_stats()
    try:
        times = milliseconds(call, seconds)
    except (RuntimeError, UserError) as error:
        print(f'{name:72s} failed: {str(error).splitlines()[0][:150]}', flush=True)
        return dict(error=str(error))
    line = f'{name:72s} {times["median"]:9.4f} ms  spread {times["spread"]:4.0%}  host {times["host"]:7.3f}'
    if 'bytes' in facts:
        times['floor_bytes'] = 1e3 * facts['bytes'] / card['bytes']
        line += f'  floor by bytes {times["floor_bytes"]:.4f}'
    if 'instructions' in facts:
        times['floor_instructions'] = 1e3 * facts['instructions'] / card['instructions']
        line += f', by instructions {times["floor_instructions"]:.4f}'
    if facts.get('peak'):
        times['peak_GiB'] = torch.cuda.max_memory_allocated() / 2 ** 30
        line += f'  peak {times["peak_GiB"]:.2f} GiB'
    print(line, flush=True)
    return {**times, **{key: facts[key] for key in ('count',) if key in facts}}


def write(path: Path, results: list[dict]) -> None:
    """Writes results beside those that the file holds of other cases or cards."""
    known = json.loads(path.read_text()) if path.exists() else []
    new = {(result['name'], result['machine']) for result in results}
    kept = [result for result in known if (result['name'], result['machine']) not in new]
    path.write_text(json.dumps(kept + results, indent=1) + '\n')
