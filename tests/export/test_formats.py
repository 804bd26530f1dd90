"""Files for other engines, run by these engines. The packages are those of requirements/export.txt."""
import json
import runpy
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from dicenet_mm.apis import Inferencer
from dicenet_mm.errors import UserError
from dicenet_mm.export import Source, export
from dicenet_mm.export.formats import FORMATS
from dicenet_mm.extras import require
from tests.data import scene
from tests.naive import randomised

ROOT = Path(__file__).parents[2]
DIGITS = [str(digit) for digit in range(10)]


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    """A classifier of digits whose weights are random, as a checkpoint of tools/train.py."""
    cfg = Config.fromfile(ROOT / 'configs/dicenet_digits.py')
    cfg.model.backbone.widen_factor = 0.1
    init_default_scope(cfg.default_scope)
    file = tmp_path_factory.mktemp('weights') / 'digits.pth'
    torch.save(dict(state_dict=randomised(MODELS.build(cfg.model)).state_dict(),
                    meta=dict(cfg=cfg.pretty_text, dataset_meta=dict(classes=DIGITS))), file)
    config = file.with_name('digits.py')
    cfg.dump(config)
    return Source(Inferencer(str(file), str(config), device='cpu', fused=False), cfg)


@pytest.fixture(scope='module')
def exported(source, tmp_path_factory):
    for name in ('onnx', 'onnxscript', 'onnxruntime', 'openvino', 'nncf'):
        pytest.importorskip(name, reason='pip install -r requirements/export.txt')
    folder = tmp_path_factory.mktemp('exported')
    return folder, export(source, folder, 'digits', ['onnx', 'openvino', 'pt2'], ['float32', 'int8'], verify=40,
                          calibration_images=16)


def test_files_give_what_the_model_gives(exported):
    folder, rows = exported
    assert [(row['format'], row['precision']) for row in rows] == [
        ('PyTorch', 'float32'), ('onnx', 'float32'), ('onnx', 'int8'), ('openvino', 'float32'), ('openvino', 'int8'),
        ('pt2', 'float32')]
    for row in rows[1:]:
        assert Path(row['file']).is_file() and row['MB'] > 0.01
        exact = row['precision'] == 'float32'
        assert row['difference']['scores'] < (1e-4 if exact else 0.5)
        if exact:
            assert row['metrics'] == rows[0]['metrics']
    assert rows[2]['MB'] < rows[1]['MB'] and json.loads((folder / 'digits.json').read_text())[1]['format'] == 'onnx'


def test_a_file_and_a_picture_are_enough(exported, source, tmp_path):
    """The example prepares a picture as the test pipeline does, and names the best classes, without PyTorch."""
    folder, _ = exported
    image = scene(3, (90, 140))[0]
    cv2.imwrite(str(tmp_path / 'photo.png'), image)
    code = ("import sys; sys.modules.update(dict.fromkeys(['torch', 'cv2', 'mmengine', 'dicenet_mm'])); import runpy; "
            f"sys.argv[1:] = ['{folder / 'digits.onnx'}', '{tmp_path / 'photo.png'}']; "
            f"runpy.run_path('{ROOT / 'examples/onnx_without_torch.py'}', run_name='__main__')")
    printed = subprocess.run([sys.executable, '-c', code], text=True, capture_output=True, check=True).stdout
    with torch.no_grad():
        scores = source.model(source.prepare([image]), mode='tensor').softmax(1)[0]
    best = scores.topk(5)
    assert printed.split(': ')[1].strip().split('; ') == [
        f'{label} {score:.2f}' for label, score in zip(best.indices.tolist(), best.values.tolist())]


def test_the_batch_is_free(exported):
    folder, _ = exported
    run = FORMATS['onnx'].load(folder / 'digits.onnx', 1)
    images = np.random.default_rng(0).standard_normal((5, 3, 64, 64), np.float32)
    together = run(images)[0]
    np.testing.assert_allclose(together, np.concatenate([run(image[None])[0] for image in images]), atol=1e-5)


def test_ncnn(source, tmp_path):
    pytest.importorskip('pnnx', reason='pip install -r requirements/export.txt')
    pytest.importorskip('ncnn', reason='pip install -r requirements/export.txt')
    rows = export(source, tmp_path, 'digits', ['ncnn'], ['float32', 'int8'])
    assert len(rows) == 2 and rows[1]['difference']['logits'] < 1e-4
    assert json.loads((tmp_path / 'digits.ncnn.json').read_text())['outputs'] == ['logits']


def test_what_cannot_be_written_is_said(source, tmp_path):
    with pytest.raises(UserError, match='there is no int8 in pt2'):
        export(source, tmp_path, 'digits', ['pt2'], ['int8'])
    with pytest.raises(UserError, match=r'ONNX needs the package no_such_one.*requirements/export.txt'):
        require('no_such_one', 'export', 'ONNX')


@pytest.mark.parametrize('step', [
    dict(resize=[33, 21], filter='bilinear'), dict(resize=[200, 220], filter='bilinear'),
    dict(resize=[33, 21], filter='antialiased'), dict(resize_inside=[60, 60], filter='bilinear'),
    dict(resize_short_side=50, filter='antialiased')], ids=str)
def test_the_example_resizes_as_the_pipeline_does(step):
    pytest.importorskip('onnxruntime', reason='pip install -r requirements/export.txt')
    from mmcv.transforms import Compose
    from mmpretrain.datasets import CenterCrop, ResizeEdge  # noqa: F401
    init_default_scope('mmpretrain')
    backend = dict(backend='pillow' if step['filter'] == 'antialiased' else 'cv2')
    first = (dict(type='ResizeEdge', scale=50, edge='short', **backend) if 'resize_short_side' in step else
             dict(type='Resize', scale=tuple(step.get('resize') or step['resize_inside']),
                  keep_ratio='resize_inside' in step, **backend))
    image = scene(5, (97, 71))[0]
    expected = Compose([first, dict(type='CenterCrop', crop_size=20)])(
        dict(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2]))['img']
    example = runpy.run_path(str(ROOT / 'examples/onnx_without_torch.py'))
    from PIL import Image
    meta = dict(steps=[step, dict(center_crop=[20, 20])], color='BGR', mean=[0, 0, 0], std=[1, 1, 1])
    got = example['prepare'](Image.fromarray(np.ascontiguousarray(image[..., ::-1])), meta)[0].transpose(1, 2, 0)
    assert got.shape == expected.shape and np.abs(got - expected).max() <= 1
