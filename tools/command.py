"""What the commands of this folder share. Nothing heavy is imported before the arguments are read."""
import argparse
import errno
import os
import signal
import sys


def parser(description: str) -> argparse.ArgumentParser:
    """A parser with the option that every command has."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument('--traceback', action='store_true', help='show where in the code an error arose')
    return made


def add_device(made: argparse.ArgumentParser) -> None:
    """The option of the commands that run a model."""
    made.add_argument('--device', help='cpu, cuda, or one GPU such as cuda:1 (default: a GPU where there is one)')


def add_overrides(made: argparse.ArgumentParser) -> None:
    """The option that replaces values of the configuration."""
    from mmengine.config import DictAction
    made.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                      help='replace values of the configuration, such as train_cfg.max_epochs=5')


def add_config_options(made: argparse.ArgumentParser) -> None:
    """The options of the commands that run a configuration."""
    made.add_argument('config', help='configuration file')
    made.add_argument('--work-dir', help='folder of logs and results (default: work_dirs/NAME OF THE CONFIGURATION)')
    made.add_argument('--allow-outside', action='store_true',
                      help='let names and links in the data lead to files outside of its folder')
    made.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none',
                      help='how several processes were started')
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


def main(run, parse_args) -> None:
    """Run a command; an error that the user can mend is one sentence and exit code 1."""
    interrupted = []

    def interrupt(number, frame):
        interrupted.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    args = None
    try:
        try:
            args = parse_args()
        except ValueError as error:  # of --cfg-options
            sys.exit(f'error: --cfg-options takes KEY=VALUE pairs: {error}')
        if getattr(args, 'device', None):
            args.device = _choose_device(args.device)
        if 'local_rank' in args:
            os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
        run(args)
    except (KeyboardInterrupt, Exception) as error:
        if interrupted or isinstance(error, KeyboardInterrupt):  # which compiled code may pass on as another error
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would only cut the sentence off
            if args and 'resume' in args:
                sys.exit('\nstopped by the keyboard; checkpoints already saved are whole: continue with the same '
                         'command and --resume')
            sys.exit('\nstopped by the keyboard')
        from dicenet_mm.errors import Stopped, UserError
        if isinstance(error, Stopped):
            print(error, file=sys.stderr)
            sys.exit(128 + error.signal_number)
        if args and args.traceback:
            raise
        if isinstance(error, UserError):
            sys.exit(f'error: {error}')
        if isinstance(error, ValueError):  # a value that some part of the stack refuses, in its own words
            sys.exit(f'error: {error} (--traceback shows where)')
        system = _system_error(error)
        if system:
            said = _SYSTEM[system.errno].format(system.filename or system.strerror or system)
            sys.exit(f'error: {said} and run the command again' + (
                ', with --resume if it was training. What had been saved before is whole' if 'resume' in args else ''))
        raise


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
    import torch
    if not torch.cuda.is_available():
        sys.exit(f'error: there is no {name} that torch can use: leave --device out, or give cpu')
    return kind
