"""The page of tools/demo.py --serve: what it answers, and what a browser shows of it."""
import shutil

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from dicenet_mm.apis import Inferencer
from dicenet_mm.apis.serve import MAX_SIDE, Page, rows_of, serve, shown_models
from dicenet_mm.errors import UserError
from tests.data import scene
from tests.naive import randomised

CONFIGS = dict(boxes='ssd_dicenet_300_voc0712', masks='espnetv2_dicenet_256_voc12aug')
CLASSES = [f'class{number}' for number in range(21)]


@pytest.fixture(scope='module')
def models(tmp_path_factory):
    """A detector and a segmentor with random weights, and what loads them."""
    folder, configs = tmp_path_factory.mktemp('models'), {}
    for name, config in CONFIGS.items():
        cfg = Config.fromfile(f'configs/{config}.py')
        cfg.model.backbone.widen_factor = 0.2
        init_default_scope(cfg.default_scope)
        torch.save(dict(state_dict=randomised(MODELS.build(cfg.model)).state_dict(), meta=dict(
            dataset_meta=dict(classes=CLASSES, palette=[[9 * number] * 3 for number in range(21)]))),
            folder / f'{name}.pth')
        configs[str(folder / f'{name}.pth')] = str(folder / f'{name}.py')
        cfg.dump(folder / f'{name}.py')
    return ({name: folder / f'{name}.pth' for name in CONFIGS},
            lambda weights: Inferencer(weights, configs[weights], 'cpu'))


@pytest.fixture
def photo(tmp_path):
    cv2.imwrite(str(tmp_path / 'photo.jpg'), scene(1, (320, 240))[0])
    return str(tmp_path / 'photo.jpg')


@pytest.fixture
def large(tmp_path):
    """20 megapixels, and a broken file of the same kind."""
    cv2.imwrite(str(tmp_path / 'large.jpg'), cv2.resize(scene(2)[0], (5472, 3648)))
    (tmp_path / 'broken.jpg').write_bytes((tmp_path / 'large.jpg').read_bytes()[:300])
    return tmp_path


def test_answers(models, photo):
    page = Page(*models)
    assert page.tasks == dict(boxes='detection', masks='segmentation') and page.of_task('detection') == ['boxes']
    picture, rows, said = page.answer(photo, 'boxes', 0.1)
    assert picture.dtype == np.uint8 and picture.shape[2] == 3 and '320 x 240 px' in said
    assert all(label in CLASSES and share >= 10 for label, share in rows)
    _, rows, _ = page.answer(photo, 'masks', 0.)
    assert sum(share for _, share in rows) == pytest.approx(100, abs=1.1)


def test_large_and_broken_pictures(models, large):
    page = Page(*models)
    picture, _, said = page.answer(str(large / 'large.jpg'), 'boxes', 0.5)
    assert max(picture.shape) == MAX_SIDE and '5472 x 3648' in said
    for file, message in ((str(large / 'broken.jpg'), 'broken.jpg cannot be read as a picture'),
                          (None, 'choose a picture first')):
        with pytest.raises(UserError, match=message):
            page.answer(file, 'boxes', 0.5)


def test_rows():
    assert rows_of(dict(labels=[dict(label='cat', score=0.987)])) == [['cat', 98.7]]
    assert rows_of(dict(segments=[dict(label='sky', share=0.5)])) == [['sky', 50.0]]


def test_without_models(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match='there is no model to show'):
        shown_models()


def test_in_a_browser(models, photo):
    """An upload is answered, on the width of a telephone, and nothing is loaded from elsewhere."""
    pytest.importorskip('gradio', reason='pip install -r requirements/serve.txt')
    sync_api = pytest.importorskip('playwright.sync_api', reason='pip install playwright')
    chromium = shutil.which('chromium') or shutil.which('chromium-browser')
    if chromium is None:
        pytest.skip('there is no chromium')
    address = serve(*models, port=0, block=False)
    assert '127.0.0.1' in address
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[
            '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
            '--disable-component-update', '--disable-sync'])
        outside = []
        page = browser.new_page(viewport=dict(width=390, height=844))
        page.set_default_timeout(120000)
        page.on('request', lambda request: None if request.url.startswith((address, 'data:', 'blob:')) else
                outside.append(request.url))
        page.goto(address, wait_until='domcontentloaded')
        choose = page.locator('input[type=file]').first
        choose.wait_for(state='attached')
        choose.set_input_files(photo)
        page.get_by_text('320 x 240 px').wait_for()
        assert page.evaluate('document.documentElement.scrollWidth') <= 390
        browser.close()
    assert outside == []
