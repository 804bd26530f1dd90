"""Checkpoints as data: reading them without running anything, and networks from what they say of themselves."""
from .network import Network
from .plain import dataset_meta, to_plain_data
from .publishing import publish
from .reader import read_checkpoint

__all__ = ['Network', 'dataset_meta', 'publish', 'read_checkpoint', 'to_plain_data']
