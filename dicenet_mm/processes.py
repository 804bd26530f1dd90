"""Several processes of one command, of which the first one speaks. Nothing heavy is imported."""
import os


def is_first() -> bool:
    """Whether this is the only process, or the first of several, also before they know of each other."""
    return os.environ.get('RANK', os.environ.get('SLURM_PROCID', '0')) == '0'


def say(*sentences: str) -> None:
    """Print for a person, from the first of several processes only."""
    if is_first():
        print(*sentences, sep='\n', flush=True)
