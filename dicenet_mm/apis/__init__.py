"""What the tools are made of, for use from Python too."""
from dicenet_mm.paths import require_file, require_folder, require_writable

from .annotate import annotate
from .check_data import check_data, print_data
from .config import load_config, select_metrics, set_launcher
from .evaluate import EvaluateOptions, evaluate
from .export import ExportOptions, export_model
from .inferencer import Inferencer
from .inputs import expand_inputs, find_inputs
from .model import Model
from .results import clear_results
from .train import Trained, TrainOptions, train
from .trained import find_model, latest_checkpoint, trained_models
from .user_data import allow_outside, use_data
from .weights import load_weights, read_checkpoint, read_pretrained, require_fit

__all__ = ['EvaluateOptions', 'ExportOptions', 'Inferencer', 'Model', 'TrainOptions', 'Trained', 'allow_outside',
           'annotate', 'check_data', 'clear_results', 'evaluate', 'expand_inputs', 'export_model', 'find_inputs',
           'find_model', 'latest_checkpoint', 'load_config', 'load_weights', 'print_data', 'read_checkpoint',
           'read_pretrained', 'require_file', 'require_fit', 'require_folder', 'require_writable', 'select_metrics',
           'set_launcher', 'train', 'trained_models', 'use_data']
