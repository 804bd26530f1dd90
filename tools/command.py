"""What the commands of this folder share. Nothing heavy is imported before the arguments are read."""
import argparse
import errno
import os
import sys


def parser(description: str) -> argparse.ArgumentParser:
    """A parser with the options that every command has."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument('--device', help='cpu, cuda, or one GPU such as cuda:1 (default: a GPU where there is one)')
    made.add_argument('--traceback', action='store_true', help='show where in the code an error arose')
    return made


def add_overrides(made: argparse.ArgumentParser) -> None:
    """The option that replaces values of the configuration."""
    from mmengine.config import DictAction
    made.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                      help='replace values of the configuration, such as train_cfg.max_epochs=5')


def add_config_options(made: argparse.ArgumentParser) -> None:
    """The options of the commands that run a configuration."""
    made.add_argument('config', help='configuration file')
    made.add_argument('--work-dir', help='folder of logs and results (default: work_dirs/NAME OF THE CONFIGURATION)')
    made.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none',
                      help='how several processes were started')
    add_overrides(made)
    made.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def main(run, args: argparse.Namespace) -> None:
    """Run a command; an error that the user can mend is one sentence and exit code 1."""
    if args.device:  # before torch counts the GPUs
        kind, _, index = args.device.partition(':')
        if kind not in ('cpu', 'cuda'):
            sys.exit(f'error: --device takes cpu, cuda or cuda:N, got {args.device}')
        if kind == 'cpu' or index:
            os.environ['CUDA_VISIBLE_DEVICES'] = index or '-1'
    if 'local_rank' in args:
        os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    try:
        run(args)
    except KeyboardInterrupt:
        hint = '; continue with the same command and --resume' if 'resume' in args else ''
        sys.exit(f'\nstopped by the keyboard; checkpoints already saved are whole{hint}')
    except Exception as error:
        from dicenet_mm.errors import UserError
        if not args.traceback and isinstance(error, UserError):
            sys.exit(f'error: {error}')
        if not args.traceback and isinstance(error, OSError) and error.errno == errno.ENOSPC:
            sys.exit(f'error: the disk is full ({error.filename or error}): free some space and run the command again, '
                     'with --resume if it was training. What had been saved before is whole')
        raise
