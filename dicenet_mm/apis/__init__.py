"""What the tools are made of, for use from Python too."""
from .annotate import annotate
from .check_data import check_data, print_data
from .config import load_config, require_file, select_metrics, set_launcher
from .inferencer import Inferencer
from .inputs import expand_inputs
from .trained import find_model, latest_checkpoint, trained_models
from .user_data import allow_outside, use_data
from .weights import load_weights, read_checkpoint, read_pretrained, require_fit

__all__ = ['Inferencer', 'allow_outside', 'annotate', 'check_data', 'expand_inputs', 'find_model',
           'latest_checkpoint', 'load_config', 'load_weights', 'print_data', 'read_checkpoint', 'read_pretrained',
           'require_file', 'require_fit', 'select_metrics', 'set_launcher', 'trained_models', 'use_data']
