"""Checkpoints to hand on: small files that say what they are of."""
import hashlib
import json
from pathlib import Path

import torch
from safetensors.torch import save

from dicenet_mm.errors import UserError

from .reader import to_json

_KEPT = ('network', 'dataset_meta')  # of what a checkpoint says of itself


def publish(checkpoint: dict, path: Path, half: bool = True) -> Path:
    """Write the weights of a checkpoint, its network and class names as ``<path>-<SHA-256, 8 digits>.safetensors``.

    Args:
        checkpoint: As :func:`dicenet_mm.checkpoint.read_checkpoint` gives it.
        path: The file, without the end of its name.
        half: Whether weights of two and more dimensions are written as float16. The others, of normalisations and
            activations, are few, and variances can be beyond its range.

    Returns:
        The file.

    Raises:
        UserError: If the checkpoint does not say what it is of, or a weight is too large for float16.
    """
    meta = checkpoint.get('meta', {})
    missing = [key for key in _KEPT if not meta.get(key)]
    if missing:
        raise UserError(f'the checkpoint has no {" and no ".join(missing)}: publish one that tools/train.py has '
                        'written')
    weights = {}
    for name, weight in checkpoint['state_dict'].items():
        if half and weight.is_floating_point() and weight.dim() > 1:
            weight = weight.half()
            if not torch.isfinite(weight).all():
                raise UserError(f'{name} has values that float16 cannot hold: publish with --full')
        weights[name] = weight.contiguous()
    content = save(weights, dict(dicenet_mm=json.dumps(to_json({key: meta[key] for key in _KEPT}))))
    file = path.with_name(f'{path.name}-{hashlib.sha256(content).hexdigest()[:8]}.safetensors')
    file.write_bytes(content)
    return file
