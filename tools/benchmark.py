#!/usr/bin/env python
"""Times the operators and networks on this machine against plain PyTorch, torch.compile, ONNX Runtime and peers.

All contenders of a case run in turn in one process, round after round, so that whatever else the machine does meets
them alike. A case's table gives the lowest and the median of the rounds, their spread, and how many times as fast as
the case's first contender each one is, by the lowest. Normalisation statistics come from a random batch: untrained
networks without them compute with denormal numbers, which is slow and measures nothing.

    python tools/benchmark.py unit network --threads 1 2 --batch 1 32 --out benchmark.json
    python tools/benchmark.py models --models ssd_dicenet_300_coco torchvision/mobilenet_v2 timm/mixnet_s --onnx

With `--device cuda` it measures on a card instead (tools/cuda_benchmark.py):

    python tools/benchmark.py unit network --device cuda --batch 1 256 --out cuda.json

Peers in ONNX Runtime need `onnx`, `onnxscript` and `onnxruntime`, those in OpenVINO the first two and `openvino`.
"""
import argparse
import copy
import json
import logging
import os
import platform
import re
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import torch
import torchvision
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import dicenet_mm
from dicenet_mm.errors import UserError
from dicenet_mm.layers import DiCEUnit
from dicenet_mm.ops import backend, dim_conv, library, reference

Case = tuple[str, dict[str, Callable], dict]  # name, contenders, what is known of it
#: Units of s=2.4: channels, stride, size of the kernels at 224 px, how many.
UNITS = ((24, 8, 28, 1), (254, 8, 28, 1), (139, 8, 28, 2), (278, 16, 14, 8), (556, 32, 7, 4))
PEERS = ('shufflenet_v2_x1_5', 'mobilenet_v2', 'mobilenet_v3_large')


def plain(function: Callable) -> Callable:
    """The same without the compiled operators."""
    def run():
        with backend('reference'):
            return function()
    return run


def calibrated(model: nn.Module, x: Tensor) -> nn.Module:
    """The model in evaluation mode, with the statistics of a batch."""
    momenta = {m: m.momentum for m in model.modules() if isinstance(m, nn.BatchNorm2d)}
    for norm in momenta:
        norm.momentum = 1.
    model.train()
    with torch.no_grad():
        model(x)
    for norm, momentum in momenta.items():
        norm.momentum = momentum
    model.eval()
    return model


class Classifier(nn.Module):
    """DiCENet with its classifier (Section 4)."""

    def __init__(self, widen_factor: float, input_size: int = 224):
        from dicenet_mm.models.backbones import DiCENet  # operators and units are measured without OpenMMLab, too
        super().__init__()
        self.backbone = DiCENet(widen_factor, input_size=input_size, out_indices=(4,))
        last = 1280 if widen_factor > 2 else 1024
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(self.backbone.out_channels[-1], last, 1, groups=4, bias=False),
            nn.Flatten(),
            nn.Linear(last, 1000))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 1000)."""
        return self.head(self.backbone(x)[0])


def operator_cases(args) -> Iterator[Case]:
    for batch in args.batch:
        for channels, stride, kernel, _ in UNITS:
            for size in args.sizes:
                side = -(-size // stride)
                x = torch.randn(batch, channels, side, side)
                weights = [torch.randn(n, 3, 3) for n in (channels, kernel, kernel)]
                contenders = {'plain': lambda x=x, k=weights: reference.dim_conv(x, *k),
                              'dim_conv': lambda x=x, k=weights: dim_conv(x, *k)}
                yield (f'dim_conv {channels}x{side}x{side} batch {batch}', contenders,
                       dict(bytes=4 * x.numel() * 4, macs=27 * x.numel()))


def unit_cases(args) -> Iterator[Case]:
    for batch in args.batch:
        for size in args.sizes:
            for channels, stride, kernel, count in UNITS:
                side = -(-size // stride)
                x = torch.randn(batch, channels, side, side)
                unit = calibrated(DiCEUnit(channels, channels, (kernel, kernel)), torch.randn(2, channels, side, side))
                fused = dicenet_mm.fuse(unit)
                macs = (27 + 3 + 9) * x.numel() + 2 * batch * channels * (channels // 4)
                yield (f'unit {channels}x{side}x{side} batch {batch}',
                       {'plain': plain(lambda u=unit, x=x: u(x)), 'fused': lambda u=fused, x=x: u(x)},
                       dict(bytes=4 * 4 * x.numel(), macs=macs, count=count, group=f'units at {size} batch {batch}'))


def network_cases(args) -> Iterator[Case]:
    model = calibrated(Classifier(2.4), torch.randn(2, 3, 224, 224))
    fused = dicenet_mm.fuse(model)
    peers = {name: calibrated(getattr(torchvision.models, name)(), torch.randn(2, 3, 224, 224)) for name in PEERS}
    for batch in args.batch:
        x = torch.randn(batch, 3, 224, 224)
        contenders = {'fused': lambda x=x: fused(x), 'plain': plain(lambda x=x: model(x))}
        if args.compile:
            torch.compiler.reset()
            compiled = torch.compile(copy.deepcopy(model))
            contenders['plain, torch.compile'] = plain(lambda x=x, m=compiled: m(x))
        for name, peer in peers.items():
            contenders[name] = lambda x=x, m=peer: m(x)
        for name, network in dict(DiCENet=model, **peers).items():
            for engine, run in sessions(network, x, args).items():
                contenders[f'{name}, {engine}'] = run
        yield f'DiCENet s=2.4 at 224 batch {batch}', contenders, dict(bytes=0, macs=macs_of(lambda x=x: model(x)))


def detector_cases(args) -> Iterator[Case]:
    """Whole detectors, images to raw outputs, each at its own size in each engine."""
    from peer_detectors import detectors
    networks = detectors()
    fused = {}
    for name, (network, side) in networks.items():
        calibrated(network, torch.randn(2, 3, side, side))
        if 'DiCENet' in name:
            fused[name] = dicenet_mm.fuse(network)
    for batch in args.batch:
        contenders, macs = {}, {}
        for name, (network, side) in networks.items():
            x = torch.randn(batch, 3, side, side)
            ways = {'fused': lambda m=fused[name], x=x: m(x)} if name in fused else {}
            ways |= {'plain': plain(lambda m=network, x=x: m(x)), **sessions(network, x, args)}
            count = macs_of(lambda m=network, x=x: m(x))
            for way, run in ways.items():
                contenders[f'{name}, {way}'], macs[f'{name}, {way}'] = run, count
        yield f'detectors, raw outputs, batch {batch}', contenders, dict(contenders_macs=macs)


def model_cases(args) -> Iterator[Case]:
    """The models of --models, each at its own size, in each engine that is asked for."""
    from peer_models import model_by_name, peak_of
    networks, parameters = {}, {}
    for name in args.models:
        network, shape = model_by_name(name, args.side)
        label = Path(name).stem if name.endswith('.py') else name
        networks[label] = calibrated(network, torch.randn(2, 3, *shape)), shape
        parameters[label] = sum(part.numel() for part in network.parameters())
    for batch in args.batch:
        contenders, macs, model_of = {}, {}, {}
        for name, (network, shape) in networks.items():
            x, fused = torch.randn(batch, 3, *shape), dicenet_mm.fuse(network)
            ways = {'fused': lambda m=fused, x=x: m(x), 'plain': plain(lambda m=network, x=x: m(x))}
            if args.compile:
                torch.compiler.reset()
                compiled = torch.compile(copy.deepcopy(network))
                ways['torch.compile'] = plain(lambda m=compiled, x=x: m(x))
            for way, run in {**ways, **sessions(network, x, args)}.items():
                contender = f'{name}, {way}'
                contenders[contender], macs[contender], model_of[contender] = run, 0, name
            count = macs_of(lambda m=network, x=x: m(x))
            macs.update({contender: count for contender, model in model_of.items() if model == name})
        peaks = {contender: peak_of(run) for contender, run in contenders.items()}
        yield f'models, batch {batch}', contenders, dict(
            contenders_macs=macs, peak_bytes=peaks, model_of=model_of, parameters=parameters)


def segmentation_cases(args) -> Iterator[Case]:
    """The two encoders under one decoder, at similar multiply-adds (Figure 9)."""
    from dicenet_mm.models.segmentors import ESPNetv2Segmentor
    networks = {}
    for kind in ('DiCENet', 'ESPNetv2'):
        network = ESPNetv2Segmentor(dict(type=kind, widen_factor=1.0, out_indices=(0, 1, 2, 3)),
                                    dict(type='ESPNetv2Head', num_classes=21))
        network.forward = network._forward
        calibrated(network, torch.randn(2, 3, 384, 384))
        del network.forward  # deep copies must not run the original
        networks[kind] = network
    for batch in args.batch:
        x = torch.randn(batch, 3, 384, 384)
        contenders = {}
        for kind, network in networks.items():
            fused = dicenet_mm.fuse(network)
            contenders[f'{kind}, plain'] = plain(lambda m=network, x=x: m._forward(x))
            contenders[f'{kind}, fused'] = lambda m=fused, x=x: m._forward(x)
        yield f'segmentation s=1.0 at 384 batch {batch}', contenders, {}


def training_cases(args) -> Iterator[Case]:
    for width in (1.0, 2.4):
        model, x = Classifier(width).train(), torch.randn(16, 3, 224, 224)

        def step(model=model, x=x):
            model.zero_grad(set_to_none=True)
            with torch.enable_grad():
                model(x).square().mean().backward()

        kept = dict(ours=kept_for_backward(model, x), plain=plain(lambda m=model, x=x: kept_for_backward(m, x))())
        yield f'training step s={width} at 224 batch 16', {'plain': plain(step), 'ours': step}, dict(kept_bytes=kept)


def kept_for_backward(model: nn.Module, x: Tensor) -> int:
    """Bytes of the tensors that the backward pass needs, parameters and buffers aside."""
    own = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers())}
    storages = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = model(x)
    del output
    return sum(storages.values())


def sessions(model: nn.Module, x: Tensor, args) -> dict[str, Callable]:
    """The model in other engines, as far as they are asked for."""
    if not (args.onnx or args.openvino):
        return {}
    logging.getLogger('onnxscript').setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, backend('reference'):
        path = f'{folder}/model.onnx'
        torch.onnx.export(model, (x,), path, dynamo=True, verbose=False, optimize=True)
        made = {'ONNX Runtime': onnx_session(path, x)} if args.onnx else {}
        return {**made, 'OpenVINO': openvino_session(path, x)} if args.openvino else made


def onnx_session(path: str, x: Tensor) -> Callable:
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])
    feed = {session.get_inputs()[0].name: x.numpy()}
    return lambda: session.run(None, feed)


def openvino_session(path: str, x: Tensor) -> Callable:
    import openvino
    request = openvino.Core().compile_model(path, 'CPU', dict(
        PERFORMANCE_HINT='LATENCY', INFERENCE_PRECISION_HINT='f32',
        INFERENCE_NUM_THREADS=str(torch.get_num_threads()))).create_infer_request()
    return lambda: request.infer([x.numpy()])


def macs_of(function: Callable) -> int:
    counter = FlopCounterMode(display=False)
    with counter, backend('reference'):
        function()
    return counter.get_total_flops() // 2


def machine_rates() -> dict[str, float]:
    """Bytes a second of a copy far larger than the caches, multiply-adds a second of a large matrix product."""
    source = torch.randn(2 ** 25)
    target, a = torch.empty_like(source), torch.randn(1024, 1024)
    copying = min(timed(lambda: target.copy_(source)) for _ in range(5))
    product = min(timed(lambda: a @ a) for _ in range(10))
    return dict(bytes=2 * source.nbytes / copying, macs=1024 ** 3 / product)


def timed(function: Callable) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def interleaved(contenders: dict[str, Callable], rounds: int, seconds: float) -> dict[str, dict[str, float]]:
    """Milliseconds a call, the lowest of each round's calls: at least one, for `seconds`."""
    samples = {name: [] for name in contenders}
    for function in contenders.values():
        function()
    for _ in range(rounds):
        for name, function in contenders.items():
            calls, end = [], time.perf_counter() + seconds
            while not calls or time.perf_counter() < end:
                calls.append(timed(function))
            samples[name].append(1e3 * min(calls))
    return {name: dict(lowest=min(s), median=statistics.median(s), spread=(max(s) - min(s)) / statistics.median(s))
            for name, s in samples.items()}


def report(name: str, times: dict[str, dict[str, float]], facts: dict, rates: dict[str, float]) -> None:
    print(f'\n{name}')
    first, counts = next(iter(times.values()))['lowest'], facts.get('contenders_macs', {})
    peaks = facts.get('peak_bytes', {})
    for contender, t in times.items():
        print(f'  {contender:40s} {t["lowest"]:9.3f} ms lowest {t["median"]:9.3f} median  spread {t["spread"]:4.0%}'
              f'  {first / t["lowest"]:6.2f}x' + (f'  {counts[contender] / 1e6:5.0f} M' if contender in counts else '')
              + (f'  {peaks[contender] / 2 ** 20:5.0f} MiB' if peaks.get(contender) is not None else ''))
    if 'macs' in facts:
        floor = 1e3 * max(facts['bytes'] / rates['bytes'], facts['macs'] / rates['macs'])
        print(f'  {"floor of ours":40s} {floor:9.3f} ms ({facts["macs"] / 1e6:.1f} M multiply-adds)')
    if 'kept_bytes' in facts:
        ours, theirs = facts['kept_bytes']['ours'], facts['kept_bytes']['plain']
        print(f'  kept for backward: {ours / 2 ** 20:.0f} of {theirs / 2 ** 20:.0f} MiB, {ours / theirs:.0%}')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cases = dict(operator=operator_cases, unit=unit_cases, network=network_cases, detector=detector_cases,
                 segmentation=segmentation_cases, training=training_cases, models=model_cases)
    parser.add_argument('what', nargs='*', default=[],
                        help=f'any of {", ".join(cases)}; by default all of them, models where --models names some')
    parser.add_argument('--models', nargs='+', default=[], metavar='NAME',
                        help='configurations, torchvision/NAME, timm/NAME: time, multiply-adds, memory of each engine')
    parser.add_argument('--side', type=int, help='of the images of --models, px; their own size by default')
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    parser.add_argument('--limit', type=float, default=180, help='s of measuring on a card; the rest is left out')
    parser.add_argument('--threads', type=int, nargs='+', default=[1])
    parser.add_argument('--batch', type=int, nargs='+', help='1 by default, on a card 1 32 256')
    parser.add_argument('--sizes', type=int, nargs='+', default=[224, 300], help='of operators and units, image px')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--seconds', type=float, default=0.3, help='of a contender in a round')
    parser.add_argument('--compile', action='store_true', help='also torch.compile of the network (takes minutes)')
    parser.add_argument('--onnx', action='store_true', help='also the networks and detectors in ONNX Runtime')
    parser.add_argument('--openvino', action='store_true', help='also these in OpenVINO')
    parser.add_argument('--isa', choices=library.INSTRUCTION_SETS,
                        help='hold our operators back to this instruction set; peers choose their own')
    parser.add_argument('--out', help='add the figures to this JSON file')
    args = parser.parse_args()
    unknown = set(args.what) - cases.keys()
    if unknown:
        parser.error(f'no benchmark is named {", ".join(unknown)}: choose among {", ".join(cases)}')
    if 'models' in args.what and not args.models:
        parser.error('models needs --models, the names of some')
    args.what = args.what or [what for what in cases if what != 'models' or args.models]
    if not library.LOADED:
        parser.error('the compiled operators are not built, and they are what this measures')
    warnings.filterwarnings('ignore')
    args.batch = args.batch or ([1, 32, 256] if args.device == 'cuda' else [1])
    if args.device == 'cuda':
        if not torch.cuda.is_available() or 'cuda' not in library.DEVICES:
            parser.error('there is no CUDA card, or the operators were not built for it: see docs/cuda.md')
        return measure_on_cuda(args)
    try:
        with library.instruction_set(args.isa) if args.isa else nullcontext():
            results = measure(args, cases)
    except UserError as error:
        parser.error(str(error))
    if args.out:
        write(Path(args.out), results)


def measure_on_cuda(args: argparse.Namespace) -> None:
    import cuda_benchmark
    context = SimpleNamespace(units=UNITS, peers=PEERS, Classifier=Classifier, calibrated=calibrated)
    results = cuda_benchmark.measure(args, context)
    if args.out:
        cuda_benchmark.write(Path(args.out), results)


def measure(args: argparse.Namespace, cases: dict[str, Callable[..., Iterator[Case]]]) -> list[dict]:
    machine = dict(machine=processor(), isa=args.isa or library.INSTRUCTION_SETS[0], torch=torch.__version__,
                   date=time.strftime('%Y-%m-%d'))
    results = []
    for threads in args.threads:
        torch.set_num_threads(threads)
        rates = machine_rates()
        print(f'\n{threads} thread(s): copy {rates["bytes"] / 1e9:.1f} GB/s, '
              f'{rates["macs"] / 1e9:.1f} G multiply-adds/s')
        groups = {}
        for what in args.what:
            with torch.no_grad():
                for name, contenders, facts in cases[what](args):
                    times = interleaved(contenders, args.rounds, args.seconds)
                    report(name, times, facts, rates)
                    results.append(dict(name=name, threads=threads, **machine, rates=rates, times=times, **facts))
                    if 'group' in facts:
                        group = groups.setdefault(facts['group'], dict.fromkeys(times, 0.))
                        for contender, t in times.items():
                            group[contender] += facts['count'] * t['lowest']
        for name, totals in groups.items():
            first = next(iter(totals.values()))
            print(f'\nAll 16 {name}: ' + ', '.join(f'{k} {v:.3f} ms ({first / v:.1f}x)' for k, v in totals.items()))
    return results


#: What tells a row of the file from another.
KEYS = ('name', 'threads', 'machine', 'isa')


def write(path: Path, results: list[dict]) -> None:
    """Writes results beside those that the file holds already of other cases, threads, machines or contenders."""
    known = json.loads(path.read_text()) if path.exists() else []
    for result in results:
        same = [r for r in known if all(r[key] == result[key] for key in KEYS)]
        known = [r for r in known if r not in same]
        for per_contender in ('times', 'contenders_macs'):
            if same and per_contender in result:
                result[per_contender] = {**same[0].get(per_contender, {}), **result[per_contender]}
    path.write_text(json.dumps(known + results, indent=1) + '\n')


def processor() -> str:
    cpuinfo = Path('/proc/cpuinfo')
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    fields = dict(re.split(r'\s*:\s*', line, maxsplit=1) for line in lines if ':' in line)
    names = [fields.get('model name', platform.processor() or platform.machine())]
    names += [f'{key} {fields[key]}' for key in ('cpu family', 'model') if key in fields]
    return ', '.join([*names, f'{os.cpu_count()} cores'])


if __name__ == '__main__':
    main()
