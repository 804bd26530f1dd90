"""Checkpoints as data: reading them without running anything, and networks from what they say of themselves."""
from .network import Network
from .plain import dataset_meta, to_plain_data
from .publishing import publish
from .reader import read_checkpoint
from .training_state import fit_training_state

__all__ = ['Network', 'dataset_meta', 'fit_training_state', 'publish', 'read_checkpoint', 'to_plain_data']
