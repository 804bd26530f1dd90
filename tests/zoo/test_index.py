"""The list of published weights against the authors' files, and as other programs read it."""
import json
import re
from pathlib import Path

import pytest
from modelindex.load_model_index import load

from dicenet_mm.analysis import count_config, image_shape, total
from dicenet_mm.apis import load_config, read_checkpoint
from dicenet_mm.errors import UserError
from dicenet_mm.zoo import cache_folder, edgenets_checkpoint, find_zoo_model, matching, weights_file, zoo_models
from tests.tools.test_commands import ROOT, command

SCOPES = {'Object Detection': 'mmdet', 'Semantic Segmentation': 'mmseg', 'Image Classification': 'mmpretrain'}


def test_published_facts(shared):
    """Against the project's references, written down by somebody else."""
    index = json.loads((shared / 'reference/edgenets_index.json').read_text())
    expected = {f'https://raw.githubusercontent.com/sacmehta/EdgeNets/{index["commit"]}/{file["path"]}':
                (file.get('bytes'), file.get('sha256'), file['git_blob_sha1'])
                for file in index['files'] if 'shufflenetv2' not in file['path']}
    authors = [model for name, model in zoo_models().items() if name.startswith('edgenets/')]
    assert {model.weights: (model.size, model.sha256, model.git_sha1) for model in authors} == expected
    assert len(authors) == 57


def test_names_say_what_it_is():
    for name, model in zoo_models().items():
        if not name.startswith('edgenets/'):
            continue
        net, width, data, size = re.fullmatch(r'edgenets/(\w+)-([\d.]+)-([a-z]+)(?:-([\dx]+))?', name).groups()
        file = re.fullmatch(r'(\w+)_s_([\d.]+)_([a-z]+)_(\d+)x(\d+)\.pth', model.file_name)
        there = dict(pascal='voc', city='cityscapes').get(file[3], file[3])
        assert (net, width, data) == (file[1], file[2], there) and float(width) == model.width
        assert size is None if data == 'imagenet' else size in (file[4], f'{file[4]}x{file[5]}')
        assert model.image_size == f'{file[4]}x{file[5]}'
        assert model.non_commercial == (data == 'cityscapes') and model.licence == 'MIT'
        assert net in model.config
    tasks = {model.config: model.task for model in zoo_models().values()}
    for config, task in tasks.items():
        assert load_config(str(ROOT / config)).default_scope == SCOPES[task]


@pytest.mark.parametrize('name', ['edgenets/espnetv2-2.0-coco-300', 'edgenets/dicenet-0.2-imagenet',
                                  'edgenets/dicenet-0.5-cityscapes-512x256'])
def test_counts(name):
    model = find_zoo_model(name)
    cfg = load_config(str(ROOT / model.config), {'model.backbone.widen_factor': model.width})
    assert total(*count_config(cfg, image_shape(cfg))) == dict(macs=model.macs, parameters=model.parameters)


def test_the_authors_files_are_what_the_list_says(shared):
    files = sorted((shared / 'weights/edgenets').glob('*.pth'))
    assert files
    models = {model.file_name: model for model in zoo_models().values()}
    for file in files:
        model = models[file.name]
        meta = edgenets_checkpoint(read_checkpoint(str(file)), file.name)['meta']
        assert (meta['config'], meta['backbone']['widen_factor']) == (model.config, model.width)
        assert meta['num_classes'] == model.classes and file.stat().st_size == model.size


def test_the_list_is_a_valid_model_index():
    index = load(str(ROOT / 'model-index.yml'))
    index.build_models_with_collections()
    assert not index.check(silent=True) and not index.check_errors
    models = {model.name: model for model in index.models}
    assert models.keys() == zoo_models().keys()
    model = models['edgenets/espnetv2-2.0-voc-512']
    assert (ROOT / model.config).is_file() and model.weights.startswith('https://')
    assert model.results[0].metrics == {'mAP': 75.01} and model.full_model.paper['URL'].startswith('https://arxiv.org')


def test_the_nearest_name_is_offered():
    with pytest.raises(UserError, match='no published weights edgenets/dicenet-1.0-voc: did you mean '
                                        r'edgenets/dicenet-1.0-voc-\d+\? "dicenet_mm models" lists'):
        find_zoo_model('edgenets/dicenet-1.0-voc')


def test_patterns():
    assert len(matching(None)) == len(zoo_models()) == len(matching('*'))
    assert {model.task for model in matching('coco')} == {'Object Detection'} and len(matching('coco')) == 2
    assert [model.name for model in matching('edgenets/dicenet-1.0-voc-*')] == [
        f'edgenets/dicenet-1.0-voc-{size}' for size in (256, 384)]


def test_where_they_lie(monkeypatch, tmp_path):
    model = find_zoo_model('edgenets/espnetv2-2.0-coco-300')
    monkeypatch.setenv('DICENET_MM_CACHE', str(tmp_path))
    assert weights_file(model) == tmp_path / 'espnetv2_s_2.0_coco_300x300.pth'
    monkeypatch.delenv('DICENET_MM_CACHE')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert cache_folder() == tmp_path / 'dicenet_mm'
    monkeypatch.delenv('XDG_CACHE_HOME')
    assert cache_folder() == Path.home() / '.cache/dicenet_mm'


def test_the_command_lists_them(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv('DICENET_MM_CACHE', str(tmp_path))
    (tmp_path / 'espnetv2_s_2.0_coco_300x300.pth').touch()
    command('models.py')
    shown = capsys.readouterr().out
    assert all(f'{name} ' in shown for name in zoo_models()) and max(map(len, shown.splitlines()[:-1])) < 160
    command('models.py', 'espnetv2-2.0-c')
    lines = {line[1:].split()[0]: line for line in capsys.readouterr().out.splitlines() if 'edgenets' in line}
    assert lines.keys() == {f'edgenets/espnetv2-2.0-{rest}' for rest in (
        'coco-300', 'coco-512', 'cityscapes-512x256', 'cityscapes-1024x512')}
    coco = lines['edgenets/espnetv2-2.0-coco-300']
    assert coco.startswith('*') and '1.165 G' in coco and 'box AP 20.8, COCO 2017 val' in coco and coco.endswith('MIT')
    assert lines['edgenets/espnetv2-2.0-cityscapes-512x256'].endswith('MIT, non-commercial')
    command('models.py', 'espnetv2-2.0-coco', '--json')
    listed = json.loads(capsys.readouterr().out)
    assert [entry['fetched'] for entry in listed] == [True, False]
    assert listed[0]['file'] == str(tmp_path / 'espnetv2_s_2.0_coco_300x300.pth')
    with pytest.raises(SystemExit, match='no published weights whose name contains or matches yolo'):
        command('models.py', 'yolo')
