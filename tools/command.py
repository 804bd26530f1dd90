"""What the commands of this folder share. Nothing heavy is imported before the arguments are read."""
import argparse
import errno
import os
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


def main(run, parse_args) -> None:
    """Run a command; an error that the user can mend is one sentence and exit code 1."""
    try:
        args = parse_args()
    except ValueError as error:  # of --cfg-options
        sys.exit(f'error: --cfg-options takes KEY=VALUE pairs: {error}')
    if getattr(args, 'device', None):
        args.device = _choose_device(args.device)
    if 'local_rank' in args:
        os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    try:
        run(args)
    except KeyboardInterrupt:
        if 'resume' in args:
            sys.exit('\nstopped by the keyboard; checkpoints already saved are whole: continue with the same command '
                     'and --resume')
        sys.exit('\nstopped by the keyboard')
    except Exception as error:
        from dicenet_mm.errors import UserError
        if args.traceback:
            raise
        if isinstance(error, UserError):
            sys.exit(f'error: {error}')
        if isinstance(error, ValueError):  # a value that some part of the stack refuses, in its own words
            sys.exit(f'error: {error} (--traceback shows where)')
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            sys.exit(f'error: the disk is full ({error.filename or error}): free some space and run the command again, '
                     'with --resume if it was training. What had been saved before is whole')
        raise


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
