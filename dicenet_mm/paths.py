"""Where the toolkit's own files lie, in a checkout and in an installed package."""
from pathlib import Path


def toolkit_folder() -> Path:
    """The folder that has the toolkit's ``configs/``, ``tools/`` and ``model-index.yml``."""
    package = Path(__file__).parent
    installed = package / '.mim'  # in a checkout they lie beside the package
    return installed if installed.is_dir() else package.parent


def config_file(name: str) -> Path:
    """One of the toolkit's own configurations, by its path below ``configs/``."""
    return toolkit_folder() / 'configs' / name
