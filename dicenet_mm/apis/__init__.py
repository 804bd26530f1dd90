"""What the tools are made of, for use from Python too."""
from .annotate import annotate
from .config import load_config, require_file, select_metrics
from .inferencer import Inferencer
from .inputs import expand_inputs
from .trained import find_model, trained_models
from .weights import load_weights, read_checkpoint

__all__ = ['Inferencer', 'annotate', 'expand_inputs', 'find_model', 'load_config', 'load_weights', 'read_checkpoint',
           'require_file', 'select_metrics', 'trained_models']
