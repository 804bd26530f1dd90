"""What the commands of this folder share. Nothing heavy is imported before what a person typed is known to be there."""
import argparse
import contextlib
import dataclasses
import difflib
import errno
import importlib.util
import os
import re
import signal
import sys
import threading
import time
import types
from pathlib import Path

#: Environment variables that a launcher sets for each of its processes.
LAUNCHED = dict(pytorch=('RANK', 'LOCAL_RANK', 'WORLD_SIZE'), slurm=('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_NODELIST'),
                mpi=('OMPI_COMM_WORLD_LOCAL_RANK', 'MASTER_ADDR'))


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help whose options name their default, where they have one."""

    def _get_help_string(self, action):
        shown = action.default not in (None, False, argparse.SUPPRESS, []) and '(default' not in (action.help or '')
        return f'{action.help} (default: %(default)s)' if shown and action.option_strings else action.help


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one sentence, with the option that is nearest to a mistyped one."""

    def error(self, message):
        unknown = message.removeprefix('unrecognized arguments: ')
        if unknown != message:
            word = unknown.split()[0]
            near = difflib.get_close_matches(word.partition('=')[0], self._option_string_actions, n=1)
            message = f'there is no option {word}' if word.startswith('-') else f'{word} is one argument too many'
            message += f': did you mean {near[0]}?' if near else ''
        sys.exit(f'error: {message} (--help lists the options)')


def parser(description: str) -> Parser:
    """A parser with the option that every command has."""
    made = Parser(description=description, formatter_class=_Help)
    made.add_argument('--traceback', action='store_true', help='show where in the code an error arose')
    return made


def add_device(made: argparse.ArgumentParser) -> None:
    """The option of the commands that run a model."""
    made.add_argument('--device', help='cpu, cuda, or one GPU such as cuda:1 (default: a GPU where there is one)')


def add_overrides(made: argparse.ArgumentParser) -> None:
    """The option that replaces values of the configuration."""
    made.add_argument('--cfg-options', nargs='+', action='extend', metavar='KEY=VALUE',
                      help='replace values of the configuration, such as train_dataloader.batch_size=8')


def add_config_options(made: argparse.ArgumentParser) -> None:
    """The options of the commands that run a configuration."""
    made.add_argument('config', help="configuration file, or the name of one of the toolkit's own")
    made.add_argument('--work-dir', help='folder of logs and results (default: work_dirs/NAME OF THE CONFIGURATION)')
    made.add_argument('--allow-outside', action='store_true',
                      help='let names and links in the data lead to files outside of its folder')
    made.add_argument('--launcher', choices=['none', *LAUNCHED], default='none',
                      help='how several processes were started; torchrun is noticed')
    add_device(made)
    add_overrides(made)
    made.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


# What the system says when a file cannot be written or read, in words that say what to do.
_SYSTEM = {
    errno.ENOSPC: 'the disk is full ({}): free some space',
    errno.EDQUOT: 'your disk quota is used up ({}): free some space',
    errno.EFBIG: 'the file would be larger than allowed ({}): raise the limit (ulimit -f), or use another disk',
    errno.EIO: 'the disk fails ({}): check it, or use another one',
    errno.EROFS: 'the disk can only be read ({}): use a folder on another one',
    errno.EACCES: 'you may not do that ({}): change the permissions, or use another folder',
    errno.EPERM: 'you may not do that ({}): change the permissions, or use another folder',
    errno.EMFILE: 'too many files are open ({}): raise the limit (ulimit -n), or lower num_workers',
    errno.ENFILE: 'too many files are open on this machine ({}): close some programs',
    errno.ELOOP: 'a link stands where a file is expected ({}): remove it',
    errno.ENOTDIR: 'a file stands where a folder is expected ({}): remove it, or use another folder',
    errno.ENAMETOOLONG: 'a name is too long ({}): use a shorter one',
}


# Parts of what gloo and NCCL say where the process at the other end is gone.
_CONNECTION = ('gloo/transport', 'Connection closed by peer', 'Connection reset by peer', 'Broken pipe', 'NCCL')


def main(run, parse_args, check=None) -> None:
    """Run a command; an error that the user can mend is one sentence and exit code 1.

    Args:
        run: The command, given the parsed arguments.
        parse_args: Reads them.
        check: Called with them before anything slow is imported, to look for what they name. Of the package, it may
            import only modules that need nothing heavy themselves.
    """
    interrupted = []

    def interrupt(number, frame):
        interrupted.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    args = None
    try:
        args = parse_args()
        chosen = getattr(args, 'device', None)
        if chosen:
            args.device = _choose_device(chosen)
        if 'launcher' in args:
            _settle_launcher(args)
        if not {'OMP_WAIT_POLICY', 'GOMP_SPINCOUNT'} & os.environ.keys():
            # libgomp's threads spin for long while they wait, on cores that another program may need: beside one such
            # program a step took 9.4 s, with this bound 1.2 s. It costs nothing where there is none; sleeping at once
            # (OMP_WAIT_POLICY=PASSIVE) is 0.9 s beside it, but makes a step 1.7 times as long on a quiet machine.
            os.environ['GOMP_SPINCOUNT'] = '10000'
        if check:
            with _light_package():
                check(args)
        if 'dicenet_mm.apis' not in sys.modules:
            with waiting('loading PyTorch and OpenMMLab'):
                import dicenet_mm.apis  # noqa: F401
        if getattr(args, 'device', None) == 'cuda':
            _require_gpu(chosen)
        run(args)
    except (KeyboardInterrupt, Exception) as error:
        if interrupted or isinstance(error, KeyboardInterrupt):  # which compiled code may pass on as another error
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would only cut the sentence off
            if args and 'resume' in args:
                sys.exit('\nstopped by the keyboard; checkpoints already saved are whole: continue with the same '
                         'command and --resume')
            sys.exit('\nstopped by the keyboard')
        if type(error).__name__ == 'Stopped':  # of dicenet_mm.errors, which an error of importing it need not load
            print(error, file=sys.stderr)
            sys.exit(128 + error.signal_number)
        sentence = _sentence(error, args)
        if args and args.traceback or sentence is None:
            raise
        sys.exit(sentence)


def _sentence(error: BaseException, args: argparse.Namespace | None = None) -> str | None:
    """What to tell of an error, or None if it is none that a person can mend."""
    if 'UserError' in [kind.__name__ for kind in type(error).__mro__]:  # of the package, read lightly or in full
        return f'error: {error}'
    if isinstance(error, ModuleNotFoundError):
        return (f'error: {error.name} is not installed for {sys.executable}: run "make setup" in the checkout and use '
                '.venv/bin/python, or see docs/install.md')
    system = _system_error(error)
    if system:
        said = _SYSTEM[system.errno].format(system.filename or system.strerror or system)
        return f'error: {said} and run the command again' + (
            ', with --resume if it was training. What had been saved before is whole'
            if args and 'resume' in args else '')
    if isinstance(error, (ConnectionResetError, EOFError)):  # of the pipe to it
        return ('error: a process that loads images has ended: the system stopped it, mostly since memory ran out. '
                'Lower the num_workers or the batch_size of the data loader')
    if isinstance(error, OSError) and error.errno and 'in DataLoader worker process' not in str(error):
        return _file_sentence(error)
    raw = str(error.args[0] if error.args else '')
    if 'in DataLoader worker process' in raw:  # which hands on its traceback; the last line says what it is
        raw = raw.strip().splitlines()[-1]
        number = re.search(r'\[Errno (\d+)\] (.*)', raw)
        if number and int(number[1]) in _SYSTEM:
            return f'error: {_SYSTEM[int(number[1])].format(number[2])} and run the command again'
        raw = raw.partition(': ')[2] or raw
    text = ' '.join(raw.split())
    if isinstance(error, (MemoryError, RuntimeError)) and ('out of memory' in text or isinstance(error, MemoryError)):
        return 'error: the memory is full: lower train_dataloader.batch_size, or the size of the images (--traceback ' \
               'shows where)'
    if isinstance(error, RuntimeError) and ('exited unexpectedly' in text or 'is killed by signal' in text):
        return (f'error: {text}: the system stopped it, mostly since memory ran out. Lower the num_workers or the '
                'batch_size of the data loader')
    if isinstance(error, RuntimeError) and int(os.environ.get('WORLD_SIZE', 1)) > 1 and (
            type(error).__name__.startswith('Dist') or any(part in text for part in _CONNECTION)):
        return ('error: another process of this run has ended, or cannot be reached: what it said, if it could, is '
                'above. Run the command again' + (', with --resume if it was training. What had been saved before is '
                                                  'whole' if args and 'resume' in args else ''))
    # a value that some part of the stack refuses, in its own words
    if text and isinstance(error, (ValueError, TypeError, ImportError, AssertionError, OSError)):
        return f'error: {text} (--traceback shows where)'
    if isinstance(error, KeyError) and ' is not in the ' in text:  # of a registry
        return f'error: {text.split(". ")[0]}: check the name, or add what registers it to custom_imports'
    return None


def _file_sentence(error: OSError) -> str:
    if error.errno == errno.EPIPE:  # what reads the output has stopped
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 'error: the program that read the output has ended'
    if not error.filename:
        return f'error: {error.strerror} (--traceback shows where)'
    if error.errno == errno.ENOENT:
        return f'error: there is no {error.filename}: check the path'
    if error.errno in (errno.EEXIST, errno.EISDIR):
        kind = 'a folder' if os.path.isdir(error.filename) else 'a file'
        return f'error: {error.filename} is {kind}: give another path'
    return f'error: {error.filename} cannot be used ({error.strerror}): give another path, or mend its permissions'


@contextlib.contextmanager
def _light_package():
    """Meanwhile ``import dicenet_mm.MODULE`` reads that module alone, without the seconds that the package takes."""
    if 'dicenet_mm' in sys.modules:
        yield
        return
    found = importlib.util.find_spec('dicenet_mm')
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError('', name='dicenet_mm')
    root = Path(found.submodule_search_locations[0])
    for file in [root / '__init__.py', *root.rglob('__init__.py')]:
        package = types.ModuleType('.'.join(['dicenet_mm', *file.parent.relative_to(root).parts]))
        package.__path__ = [str(file.parent)]
        sys.modules[package.__name__] = package
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.partition('.')[0] == 'dicenet_mm']:
            del sys.modules[name]


@contextlib.contextmanager
def waiting(what: str, every: float = 1.):
    """Say what is waited for and, on a terminal, how long already; several processes leave it to the first."""
    if not is_first():
        yield
        return
    live, done, start = sys.stderr.isatty(), threading.Event(), time.monotonic()

    def tell():
        while not done.wait(every):
            print(f'\r{what} ... {time.monotonic() - start:.0f} s', end='', file=sys.stderr, flush=True)

    print(f'{what} ...', end='' if live else '\n', file=sys.stderr, flush=True)
    teller = threading.Thread(target=tell, daemon=True)
    if live:
        teller.start()
    try:
        yield
    finally:
        done.set()
        if live:
            teller.join()
            print(f'\r{what} ... {time.monotonic() - start:.0f} s', file=sys.stderr, flush=True)


def is_first() -> bool:
    """Whether this is the only process, or the first of several."""
    return os.environ.get('RANK', os.environ.get('SLURM_PROCID', '0')) == '0'


def options(kind: type, args: argparse.Namespace):
    """The options of a function of the package, a data class, from what was typed."""
    return kind(**{field.name: getattr(args, field.name) for field in dataclasses.fields(kind)})


def _settle_launcher(args) -> None:
    if args.launcher == 'none' and 'TORCHELASTIC_RUN_ID' in os.environ:  # torchrun, and nobody said so
        args.launcher = 'pytorch'
    missing = [name for name in LAUNCHED.get(args.launcher, ()) if name not in os.environ]
    if missing:
        start = dict(pytorch='torchrun --nproc-per-node 4', slurm='srun', mpi='mpirun')[args.launcher]
        sys.exit(f'error: --launcher {args.launcher} is for processes that {start.split()[0]} has started, and it has '
                 f'not ({missing[0]} is not set): start them with "{start} {"python " * (args.launcher != "pytorch")}'
                 f'{" ".join(sys.argv[:1])} ...", or leave --launcher out for a single one')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))


def _system_error(error: BaseException | None) -> OSError | None:
    """The error of the system in a chain of errors, if there are words for it."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _SYSTEM:
            return error
        error = error.__cause__ or error.__context__
    return None


def _choose_device(name: str) -> str:
    """Hide all GPUs but the one asked for, before torch counts them; the kind of device is what is left to say."""
    kind, _, index = name.partition(':')
    if kind not in ('cpu', 'cuda') or index and not (kind == 'cuda' and index.isdigit()):
        sys.exit(f'error: --device takes cpu, cuda or cuda:N, got {name}')
    if kind == 'cpu':
        os.environ['CUDA_VISIBLE_DEVICES'] = '-1'
        return kind
    visible = [card for card in os.environ.get('CUDA_VISIBLE_DEVICES', '').split(',') if card]
    if index:
        if visible and int(index) >= len(visible):
            sys.exit(f'error: there is no {name}: CUDA_VISIBLE_DEVICES leaves {len(visible)} GPUs')
        os.environ['CUDA_VISIBLE_DEVICES'] = visible[int(index)] if visible else index
    return kind


def _require_gpu(name: str) -> None:
    import torch
    if not torch.cuda.is_available():
        sys.exit(f'error: there is no {name} that torch can use: leave --device out, or give cpu')
