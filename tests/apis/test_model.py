"""The model as one object: what it does is what the tools do."""
import cv2
import numpy as np
import pytest
from PIL import Image

from dicenet_mm.apis import Inferencer, Model
from dicenet_mm.datasets import sample_photographs
from dicenet_mm.errors import UserError
from dicenet_mm.zoo import BUILT_IN
from tests.data import make_voc, scene

QUICK = {'model.backbone.widen_factor': 0.1, 'default_hooks.checkpoint.interval': 1, 'train_cfg.val_interval': 1}


def test_from_a_configuration_to_predictions(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_voc('mine', dict(trainval=5), classes=('bolt', 'axle'))
    model = Model('ssd_dicenet_300_small_data', device='cpu')
    with pytest.raises(UserError, match='ssd_dicenet_300_small_data is a configuration, which has no weights yet'):
        model.predict(scene(0)[0])
    found = model.train('mine', epochs=1, batch_size=4, workers=0, work_dir='mine_dir', seed=0, cfg_options=QUICK)
    assert found.work_dir.name == 'mine_dir' and found.checkpoint.is_file() and 0 <= found.score <= 1
    assert model.weights == str(found.checkpoint)
    assert tuple(model.inferencer.dataset_meta['classes']) == ('axle', 'bolt')
    metrics = model.val('mine', work_dir='mine_dir', cfg_options=dict(QUICK, **{
        'test_dataloader.num_workers': 0, 'test_dataloader.persistent_workers': False}))
    assert metrics['pascal_voc/mAP'] == pytest.approx(found.score, abs=1e-4)  # of the same split
    entry, = model(scene(1)[0], pred_score_thr=0.)
    assert entry['width'] == 96 and {thing['label'] for thing in entry['detections']} <= {'axle', 'bolt'}
    with pytest.raises(UserError, match='mine_dir holds a training already'):
        model.train('mine', work_dir='mine_dir')


def test_what_it_starts_from():
    assert Model().weights == BUILT_IN and Model().config == 'rtm_dicenet_320_small_data'
    assert Model('ssd_dicenet_300_coco').weights is None
    with pytest.raises(UserError, match='there is no configuration ssd_dicenet_300_koko.py: did you mean ssd_dicenet_'):
        Model('ssd_dicenet_300_koko.py')
    with pytest.raises(UserError, match='there is no checkpoint nothing: check the path'):
        Model('nothing')


@pytest.fixture(scope='module')
def inferencer():
    return Inferencer(device='cpu')


def test_the_habits_of_openmmlab(inferencer, tmp_path):
    photo = sample_photographs()[1]
    array = cv2.imread(str(photo))
    pillow = Image.fromarray(array[..., ::-1])
    out = inferencer([photo, array, pillow, str(photo)], batch_size=3, out_dir=tmp_path / 'a', return_vis=True)
    entries, pictures = out['predictions'], out['visualization']
    assert [[thing['label'] for thing in entry['detections']] for entry in entries] == [['cat']] * 4
    assert entries[1]['detections'] == entries[2]['detections']
    assert [entry['output'] for entry in entries] == ['cat.jpg', '000001.jpg', '000002.jpg', 'cat_2.jpg']
    assert all((tmp_path / 'a' / entry['output']).is_file() for entry in entries)
    assert pictures[0].dtype == np.uint8 and pictures[0].shape == pictures[3].shape
    sample, = inferencer(array, return_datasamples=True)['predictions']
    assert sample.pred_instances.bboxes.shape[1] == 4 and len(sample.pred_instances) > 1  # whatever scores
    assert len(inferencer(np.stack([array, array]))['predictions']) == 2
    with pytest.raises(UserError, match='holds the results of another run'):
        inferencer(photo, out_dir=tmp_path / 'a')
