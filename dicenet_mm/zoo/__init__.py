"""Published weights by name: what there is, fetching it, and the authors' files in the form of this toolkit."""
from .edgenets import edgenets_checkpoint
from .index import BUILT_IN, ZooModel, find_zoo_model, is_zoo_name, matching, zoo_models
from .load import load_zoo_model
from .table import table
from .weights import cache_folder, fetch_weights, weights_file

__all__ = ['BUILT_IN', 'ZooModel', 'cache_folder', 'edgenets_checkpoint', 'fetch_weights', 'find_zoo_model',
           'is_zoo_name', 'load_zoo_model', 'matching', 'table', 'weights_file', 'zoo_models']
