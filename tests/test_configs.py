"""Every configuration: what it names exists, its model is built, and one key sets its width."""
import re
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, HOOKS, METRICS, MODELS, TRANSFORMS, VISUALIZERS, init_default_scope

from dicenet_mm.analysis import shapes_alone
from dicenet_mm.apis.user_data.config import data_sets

FOLDER = Path(__file__).parents[1] / 'configs'
CONFIGS = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob('*.py') if '_base_' not in path.parts)


@pytest.mark.parametrize('name', CONFIGS)
def test_configuration(name):
    cfg = Config.fromfile(FOLDER / name)
    init_default_scope(cfg.default_scope)
    model = shapes_alone(lambda: MODELS.build(cfg.model))
    assert sum(p.numel() for p in model.parameters()) > 0
    for split in ('train', 'val', 'test'):
        for dataset, _ in data_sets(cfg[f'{split}_dataloader'].dataset):
            named(DATASETS, dataset)
            for step in dataset.pipeline:
                named(TRANSFORMS, step)
    for hook in (*cfg.custom_hooks, *cfg.default_hooks.values(), cfg.visualization_hook):
        named(HOOKS, hook)
    for metric in cfg.evaluators.values():
        named(METRICS, metric)
    named(VISUALIZERS, cfg.visualizer)


def named(registry, part):
    with registry.switch_scope_and_registry(None) as scoped:
        assert scoped.get(part['type']) is not None, part


@pytest.mark.parametrize('name', CONFIGS)
def test_the_rate_is_for_the_batch_that_is_trained_with(name):
    """So that --auto-scale-lr changes nothing on one process: images of a step x accumulated steps. E300-B2048, which
    is for four processes, names its batch. A configuration that says none has the option refused."""
    cfg = Config.fromfile(FOLDER / name, import_custom_modules=False)
    batch = cfg.train_dataloader.batch_size * cfg.optim_wrapper.get('accumulative_counts', 1)
    named = re.search(r'_e\d+_b(\d+)', name)
    if 'auto_scale_lr' in cfg:
        assert cfg.auto_scale_lr == dict(enable=False, base_batch_size=int(named[1]) if named else batch)
    else:
        assert name.startswith('voc_subset/')
