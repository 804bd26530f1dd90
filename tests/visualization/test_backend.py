import json

from mmengine.config import Config
from mmengine.visualization import Visualizer

import dicenet_mm  # noqa: F401


def test_what_could_not_be_measured_is_null(tmp_path):
    made = Visualizer(vis_backends=[dict(type='JsonVisBackend')], save_dir=str(tmp_path))
    made.add_config(Config(dict(a=1)))
    made.add_scalars({'mAP': 0.5, 'AP/boat': float('nan')}, 3, file_path=str(tmp_path / 'vis_data' / 'log.json'))
    made.add_scalar('loss', float('inf'), 4)
    strict = dict(parse_constant=lambda name: 1 / 0)
    lines = (tmp_path / 'vis_data/scalars.json').read_text().splitlines()
    first, second = (json.loads(line, **strict) for line in lines)
    assert first == {'mAP': 0.5, 'AP/boat': None, 'step': 3} and second == {'loss': None, 'step': 4}
    assert json.loads((tmp_path / 'vis_data' / 'log.json').read_text(), **strict) == first
