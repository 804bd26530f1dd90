"""The keys that --cfg-options knows, written down since imports are slow, against the classes that read them."""
import inspect

from mmengine.dist import init_dist
from mmengine.registry import LOOPS as LOOP_CLASSES
from mmengine.runner import Runner
from mmengine.utils.dl_utils import set_multi_processing
from torch.utils.data import DataLoader

import dicenet_mm  # noqa: F401
from dicenet_mm.apis import load_config
from dicenet_mm.apis.options import KEYS, LOOPS, READ


def arguments(function, *without):
    names = set(inspect.signature(function).parameters)
    return names - {'self', 'args', 'kwargs', *without}


def test_keys_of_loaders():
    """All that DataLoader takes, but for what a configuration file cannot say or mmengine sets itself."""
    odd = {'shuffle', 'worker_init_fn', 'multiprocessing_context', 'generator', 'pin_memory_device', 'in_order'}
    assert KEYS['dataloader'] == arguments(DataLoader.__init__, *odd)


def test_keys_of_the_runner():
    assert arguments(Runner.__init__, 'cfg') <= READ | {'launcher'}
    assert KEYS['randomness'] == arguments(Runner.set_randomness)
    assert KEYS['mp_cfg'] == arguments(set_multi_processing, 'distributed')
    assert KEYS['dist_cfg'] <= arguments(init_dist) | {'timeout'}


def test_arguments_of_loops():
    for name, known in LOOPS.items():
        parts = [part for part in LOOP_CLASSES.get(name).__mro__ if '__init__' in vars(part) and part is not object]
        found = set().union(*(arguments(part.__init__, 'runner', 'dataloader', 'evaluator') for part in parts))
        assert known == found, name


def test_options_of_what_is_joined():
    """Of data sets that a wrapper has, they are for each of them."""
    cfg = load_config('configs/ssd_dicenet_300_voc0712.py', ['train_dataloader.dataset.filter_cfg.min_size=8'])
    wrapper = cfg.train_dataloader.dataset
    years = wrapper.get('dataset', wrapper).datasets
    assert [year.filter_cfg for year in years] == 2 * [dict(filter_empty_gt=True, min_size=8)]
    assert 'filter_cfg' not in wrapper
