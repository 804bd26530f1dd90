"""The detector that comes with the package."""
import json

import mmcv
import pytest

from dicenet_mm.apis import Inferencer
from dicenet_mm.checkpoint import publish
from dicenet_mm.datasets import sample_photographs
from dicenet_mm.errors import UserError
from dicenet_mm.zoo import BUILT_IN, find_zoo_model, weights_file
from tests.tools.test_commands import command


def test_it_is_small_and_lies_in_the_package():
    model = find_zoo_model(BUILT_IN)
    assert not model.is_remote and weights_file(model).is_file()
    assert model.size < 3e6 and model.classes == 20


@pytest.mark.parametrize('fused', [True, False])
def test_it_finds_what_is_in_photographs(fused):
    inferencer = Inferencer(BUILT_IN, fused=fused)
    photographs = sample_photographs()
    found = inferencer.predict([mmcv.imread(str(path)) for path in photographs])
    for sample, expected in zip(found, ('person', 'cat'), strict=True):
        best = inferencer.plain(sample)['detections'][0]
        assert best['label'] == expected and best['score'] > 0.4, best
        x1, y1, x2, y2 = best['bbox']
        height, width = sample.ori_shape
        assert (x2 - x1) * (y2 - y1) > 0.3 * width * height  # each fills most of its photograph


def test_it_is_what_the_demo_runs(tmp_path):
    command('demo.py', '--out-dir', tmp_path)
    entries = json.loads((tmp_path / 'predictions.json').read_text())
    assert [entry['detections'][0]['label'] for entry in entries] == ['person', 'cat']


def test_publishing_needs_to_know_what_it_is(tmp_path):
    with pytest.raises(UserError, match='has no network and no dataset_meta'):
        publish(dict(state_dict={}), tmp_path / 'a')
