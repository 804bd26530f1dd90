"""Photographs that come with the package."""
from pathlib import Path


def sample_photographs() -> list[Path]:
    """A few photographs to try a model on: an astronaut and a cat (their licences lie beside them)."""
    return sorted(Path(__file__).parents[1].joinpath('photographs').glob('*.jpg'))
