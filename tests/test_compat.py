"""The upstream gaps: each closed here, each still open upstream (an XPASS says that its function can go)."""
import importlib.metadata
import importlib.util
import inspect
import os
import pickle
import subprocess
import sys
import types
import warnings
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import checkpoint as mmengine_checkpoint
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from dicenet_mm import compat

# These two import only once compat has been applied.
import mmcv.ops  # isort: skip
from mmdet.models import SSDHead  # isort: skip

compiled = importlib.util.find_spec('mmcv._ext').loader is not None
needs_stand_in = pytest.mark.skipif(compiled, reason='mmcv is compiled here')


def python(code):
    """Runs code in a process of its own, where nothing of ours is imported."""
    return subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)


def test_applying_is_quiet():
    """With the tested versions, applying compat in a fresh process writes not a line."""
    done = python(f'import runpy; runpy.run_path({compat.__file__!r})["apply"]()')
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')


# The versions of the stack

def stack(monkeypatch, **versions):
    def version(name):
        if name in versions:
            return versions[name]
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(compat, 'version', version)


@pytest.mark.parametrize('version', ['0.10.0', '0.10.7', '0.10.12', '0.10.8rc1'])
def test_tested_version_is_silent(monkeypatch, version):
    stack(monkeypatch, mmengine=version, torch='2.14.1+cu130')
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        compat.check_stack()


@pytest.mark.parametrize('version', ['0.9.1', '0.11.0', '1.0.0'])
def test_untested_versions_are_named_in_one_warning(monkeypatch, version):
    stack(monkeypatch, mmengine=version, mmdet='4.0', torch='2.14.1')
    with pytest.warns(UserWarning) as caught:
        compat.check_stack()
    assert len(caught) == 1
    assert f'mmengine {version}' in str(caught[0].message) and 'mmdet 4.0' in str(caught[0].message)
    assert 'torch' not in str(caught[0].message)


def test_missing_package_names_what_to_install(monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, 'find_spec', lambda name: None if name == 'mmseg' else find_spec(name))
    with pytest.raises(ImportError, match=r'needs mmseg for .*: pip install --no-build-isolation -e "\.\[openmmlab\]"'):
        compat.check_stack()


@pytest.mark.parametrize('file', ['tested.txt', 'common.txt', 'forks.txt'])
def test_pins_are_among_the_tested_versions(file):
    tested = {name: spec for distributions in compat.TESTED.values() for name, spec in distributions.items()}
    lines = (Path(__file__).parents[1] / 'requirements' / file).read_text().splitlines()
    pins = [Requirement(line.split('#')[0]) for line in lines if line[:1].isalpha()]
    pins = [pin for pin in pins if pin.name in tested]
    assert pins
    for pin in pins:
        pinned, = pin.specifier
        assert SpecifierSet(tested[pin.name]).contains(pinned.version), pin


# mmcv without compiled operators

def greedy_nms(boxes, scores, threshold, offset):
    """The textbook loop over boxes (N,4), in plain Python."""
    def area(x1, y1, x2, y2):
        return max(x2 - x1 + offset, 0) * max(y2 - y1 + offset, 0)

    def overlap(a, b):
        both = area(max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3]))
        return both / (area(*a) + area(*b) - both)

    boxes, kept = boxes.tolist(), []
    for i in scores.argsort(descending=True).tolist():
        if all(overlap(boxes[i], boxes[k]) <= threshold for k in kept):
            kept.append(i)
    return kept


def random_boxes(n):
    corner = torch.randint(0, 12, (n, 2))
    boxes = torch.cat([corner, corner + torch.randint(1, 9, (n, 2))], 1).float()
    return boxes, torch.rand(n)


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('threshold', [.2999, .4499, .6999])  # no ratio of areas falls on these
def test_nms_is_the_greedy_one(offset, threshold):
    boxes, scores = random_boxes(60)
    expected = greedy_nms(boxes, scores, threshold, offset)
    detections, kept = mmcv.ops.nms(boxes, scores, threshold, offset=offset)
    assert kept.tolist() == expected
    assert torch.equal(detections, torch.cat([boxes[kept], scores[kept, None]], 1))


def test_nms_offset_matters():
    """With 0 the IoU is 4.5 / 9, with 1 it is 10 / 16."""
    boxes, scores = torch.tensor([[0., 0., 3., 3.], [0., 0., 3., 1.5]]), torch.tensor([.9, .8])
    assert [len(mmcv.ops.nms(boxes, scores, .55, offset=offset)[1]) for offset in (0, 1)] == [2, 1]


def test_batched_nms_keeps_classes_apart():
    boxes, scores = random_boxes(80)
    classes = torch.randint(0, 3, (80,))
    expected = []
    for c in range(3):
        of_class = (classes == c).nonzero().flatten()
        expected += of_class[greedy_nms(boxes[of_class], scores[of_class], .4499, 0)].tolist()
    _, kept = mmcv.ops.batched_nms(boxes, scores, classes, dict(type='nms', iou_threshold=.4499))
    assert kept.tolist() == sorted(expected, key=lambda i: -scores[i])


def test_nms_of_no_boxes():
    assert mmcv.ops.nms(torch.zeros(0, 4), torch.zeros(0), .5)[1].tolist() == []


@needs_stand_in
def test_other_operators_say_what_to_install():
    with pytest.raises(NotImplementedError, match='roi_align_forward.*pip install mmcv'):
        mmcv.ops.RoIAlign(2)(torch.zeros(1, 1, 4, 4), torch.zeros(1, 5))


@needs_stand_in
def test_environment_report_names_no_compiler():
    assert mmcv.ops.get_compiler_version() == mmcv.ops.get_compiling_cuda_version() == 'not compiled'


def test_compiled_operators_are_left_alone(monkeypatch):
    module = types.ModuleType('mmcv._ext')
    module.__spec__ = ModuleSpec('mmcv._ext', object())
    monkeypatch.setitem(sys.modules, 'mmcv._ext', module)
    compat.provide_mmcv_ext()
    assert sys.modules['mmcv._ext'] is module


@needs_stand_in
@pytest.mark.xfail(raises=AssertionError, reason='mmdetection #10619: provide_mmcv_ext can go')
def test_mmdet_imports_beside_mmcv_lite():
    assert python('import mmdet.models').returncode == 0


# Checkpoints (tests/checkpoint has what is read and what is refused)

@pytest.mark.xfail(raises=pickle.UnpicklingError, reason='mmengine #1655: read_checkpoints_as_data can go')
def test_mmengine_writes_plain_checkpoints(tmp_path):
    hub = MessageHub('plain')
    hub.update_scalar('loss', .5)
    torch.save(hub.state_dict(), tmp_path / 'hub.pth')
    torch.load(tmp_path / 'hub.pth', weights_only=True)


class Code:
    """Unpickles as a command that makes a file."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.system, (f'touch {self.file}', )


@pytest.mark.xfail(raises=AssertionError, reason='mmengine reads addresses as data: read_checkpoints_as_data can go')
def test_mmengine_refuses_code_from_an_address(tmp_path):
    """What torch.hub has fetched before lies in its cache under the name in the address."""
    torch.save(Code(tmp_path / 'ran'), tmp_path / 'evil.pth')
    python('from mmengine.runner.checkpoint import load_from_http\n'
           f'load_from_http("https://example.com/evil.pth", "cpu", {str(tmp_path)!r})')
    assert not (tmp_path / 'ran').exists()


@pytest.mark.skipif(not hasattr(mmengine_checkpoint, '_safe_torch_load'), reason='only the fork falls back')
@pytest.mark.xfail(raises=AssertionError, reason='the fork reads as data: _safe_torch_load can stay as it is')
def test_the_fork_refuses_code(tmp_path):
    torch.save(Code(tmp_path / 'ran'), tmp_path / 'evil.pth')
    python('from mmengine.runner.checkpoint import load_from_local\n'
           f'load_from_local({str(tmp_path / "evil.pth")!r}, "cpu")')
    assert not (tmp_path / 'ran').exists()


def test_reading_allows_nothing_for_the_whole_process(tmp_path):
    torch.save(dict(a=HistoryBuffer([1.], [1])), tmp_path / 'a.pth')
    before = set(torch.serialization.get_safe_globals())
    assert not before & {HistoryBuffer, np.ndarray, np.dtype, getattr}
    mmengine_checkpoint.CheckpointLoader.load_checkpoint(str(tmp_path / 'a.pth'))
    assert set(torch.serialization.get_safe_globals()) == before


# SSDHead

def ssd_head(cls, init):
    head = cls.__new__(cls)
    anchors = dict(type='mmdet.SSDAnchorGenerator', input_size=300, strides=[64], ratios=[[2]],
                   min_sizes=[60], max_sizes=[111])
    init(head, num_classes=2, in_channels=[8], anchor_generator=anchors,
         bbox_coder=dict(type='mmdet.DeltaXYWHBBoxCoder'),
         test_cfg=ConfigDict(nms_pre=10, nms=dict(type='nms', iou_threshold=.45), score_thr=0, max_per_img=5))
    return head


def test_ssd_head_predicts():
    head = ssd_head(SSDHead, SSDHead.__init__)
    scores, boxes = head([torch.rand(1, 8, 5, 5)])
    image = dict(img_shape=(300, 300), scale_factor=(1, 1))
    result, = head.predict_by_feat(scores, boxes, batch_img_metas=[image])
    assert 0 < len(result.bboxes) <= 5


def test_loss_cls_of_a_subclass_stays():
    """A class attribute would hide the loss module, which nn.Module keeps elsewhere."""
    class Head(SSDHead):
        def _init_layers(self):
            super()._init_layers()
            self.loss_cls = torch.nn.CrossEntropyLoss()

    assert isinstance(ssd_head(Head, Head.__init__).loss_cls, torch.nn.CrossEntropyLoss)
    head = ssd_head(SSDHead, SSDHead.__init__)
    head.loss_cls = torch.nn.CrossEntropyLoss()
    assert isinstance(head.loss_cls, torch.nn.CrossEntropyLoss)


@pytest.mark.xfail(raises=AssertionError, reason='mmdetection #11780: set_ssd_head_loss_cls can go')
def test_upstream_ssd_head_has_loss_cls():
    assert hasattr(ssd_head(SSDHead, inspect.unwrap(SSDHead.__init__)), 'loss_cls')
