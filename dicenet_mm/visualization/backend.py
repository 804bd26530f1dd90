"""Files of a work directory that log what is measured."""
import math

from mmengine.registry import VISBACKENDS
from mmengine.visualization import LocalVisBackend


@VISBACKENDS.register_module()
class JsonVisBackend(LocalVisBackend):
    """mmengine's LocalVisBackend, with null in ``scalars.json`` for what could not be measured: JSON has no NaN."""

    def add_scalar(self, name: str, value, step: int = 0, **kwargs) -> None:
        """See mmengine."""
        super().add_scalar(name, _known(value), step, **kwargs)

    def add_scalars(self, scalar_dict: dict, step: int = 0, file_path: str | None = None, **kwargs) -> None:
        """See mmengine."""
        known = {name: _known(value) for name, value in scalar_dict.items()}
        super().add_scalars(known, step, file_path, **kwargs)


def _known(value):
    return None if isinstance(value, float) and not math.isfinite(value) else value
