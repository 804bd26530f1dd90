"""What each command says to bad input: one sentence with what is wrong, where, and what to do, and exit code 1.

This is what a person meets. The variants of a sentence are tested where it is worded: readers, checks, hooks.
"""
import argparse
import errno
import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
import torch

from dicenet_mm.errors import UserError
from tests.data import make_voc, scene

from .test_commands import CONFIG, ROOT, SMALL, command

LISTS = 'data/VOCdevkit/VOC2007/ImageSets/Main'
IMAGES = 'data/VOCdevkit/VOC2007/JPEGImages'
NOTES = 'data/VOCdevkit/VOC2007/Annotations'
CHECKPOINT = 'work_dirs/ssd_dicenet_300_voc0712/epoch_1.pth'


@pytest.fixture(scope='module')
def original(tmp_path_factory):
    """A folder with VOC data and an SSD that was trained on it for one epoch."""
    folder = tmp_path_factory.mktemp('voc')
    make_voc(folder / 'data/VOCdevkit', dict(trainval=4, test=2), years=('VOC2007', 'VOC2012'))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        command('train.py', CONFIG, '--no-validate', '--cfg-options', 'train_cfg.max_epochs=1', *SMALL)
        cv2.imwrite('photo.jpg', scene(0)[0])
    return folder


@pytest.fixture
def folder(original, tmp_path, monkeypatch):
    """A copy of it to spoil."""
    monkeypatch.chdir(shutil.copytree(original, tmp_path / 'here'))


def train(*options):
    return ['train.py', CONFIG, '--overwrite', '--cfg-options', 'train_cfg.max_epochs=1', *SMALL, *options]


def check(*options, checkpoint=CHECKPOINT):
    return ['test.py', CONFIG, checkpoint, '--cfg-options', *SMALL, *options]


def write(path, content=''):
    return lambda: Path(path).write_text(content)


def remove(path):
    return lambda: shutil.rmtree(path) if Path(path).is_dir() else Path(path).unlink()


def cut(path):
    return lambda: Path(path).write_bytes(Path(path).read_bytes()[:-300])


def edit(path, pattern, replacement):
    return lambda: Path(path).write_text(re.sub(pattern, replacement, Path(path).read_text()))


def rename_classes():
    for note in Path('data/VOCdevkit').glob('*/Annotations/*.xml'):
        edit(note, '<name>[a-z]*</name>', '<name>unicorn</name>')()


def nothing():
    pass


@pytest.mark.parametrize('spoil,args,sentence', [
    # missing
    (nothing, ['train.py', ROOT / 'configs/ssd_dicenet_300_vok0712.py'],
     'there is no configuration {root}/configs/ssd_dicenet_300_vok0712.py: did you mean '
     '{root}/configs/ssd_dicenet_300_voc0712.py?'),
    (remove('data'), train(), 'there is no folder {here}/data/VOCdevkit (data_root of train_dataloader): lay out the '
     'data as docs/data.md shows, or use data of your own with --data DIR'),
    (remove(f'{LISTS}/test.txt'), check(), 'there is no annotation file {here}/' + LISTS + '/test.txt (ann_file of '
     'test_dataloader): lay out the data as docs/data.md shows, or use data of your own with --data DIR'),
    (remove(f'{NOTES}/000001.xml'), train(), f'there is no annotation {NOTES}/000001.xml: each name in a list of'),
    (remove(f'{IMAGES}/000001.jpg'), train(), f'1 of the 4 images of {LISTS}/trainval.txt are missing: '
     f'{IMAGES}/000001.jpg; put them there, or take them out of the annotations'),
    (remove(CHECKPOINT), check(), f'there is no checkpoint {CHECKPOINT}: check the path'),
    (nothing, ['demo.py', 'phot.jpg', '--weights', CHECKPOINT],
     'there is no file phot.jpg, and it matches none as a pattern'),
    (nothing, [*train(), '--data', 'mine'], 'there is no folder mine: check the path'),
    (nothing, ['demo.py', '--model', 'yolo'],
     'there is no trained model yolo; trained models in work_dirs: ssd_dicenet_300_voc0712'),
    # empty, or of other classes
    (write(f'{LISTS}/trainval.txt'), train(), f'{LISTS}/trainval.txt leaves no image to use'),
    (rename_classes, train(), f'no box in {LISTS}/trainval.txt has a class of this configuration: it has'),
    # unreadable
    (write(f'{NOTES}/000001.xml', '<annotation>'), train(), f'{NOTES}/000001.xml cannot be read as XML'),
    (cut(f'{IMAGES}/000001.jpg'), train(), '1 of 4 training images cannot be read, more than 5%: '),
    (cut(f'{IMAGES}/000005.jpg'), check(), f'{IMAGES}/000005.jpg cannot be read as an image'),
    (write('photo.jpg'), ['demo.py', 'photo.jpg', '--weights', CHECKPOINT],
     'none of the files can be read: photo.jpg'),
    (write(CHECKPOINT, 'not a checkpoint'), check(), f'{CHECKPOINT} is a text, not a checkpoint: '),
    (cut(CHECKPOINT), check(), f'{CHECKPOINT} cannot be read as a checkpoint'),
    # of another kind
    (nothing, check('model.backbone.widen_factor=0.2'),
     f'{CHECKPOINT} does not fit this model: is it of another width, class count or task?'),
    (lambda: torch.save(dict(state_dict={'decode_head.conv.weight': torch.ones(1)}), 'seg.pth'),
     check(checkpoint='seg.pth'), 'seg.pth does not fit this model: is it of another width, class count or task?'),
    (nothing, train('load_from=' + CHECKPOINT, 'model.backbone.widen_factor=0.2'), f'{CHECKPOINT} is of another '
     'backbone: backbone.stem.0.weight is (8, 3, 3, 3) there and (16, 3, 3, 3) here. Give the same widen_factor'),
    (nothing, train('model.backbone.init_cfg.type=Pretrained', 'model.backbone.init_cfg.checkpoint=nothing.pth'),
     'there is no checkpoint nothing.pth: check the path'),
    (nothing, train('model.backbone.widen_factor=3'), 'widen_factor must be one of 0.1, 0.2, 0.5'),
    (nothing, ['demo.py', 'photo.jpg', '--weights', CHECKPOINT, '--out-dir', '.'],
     'photo.jpg lies in ., where results would be written over it: give another --out-dir'),
    (nothing, [*train(), '--work-dir', 'photo.jpg'], '--work-dir photo.jpg: photo.jpg is a file: name a folder'),
    (nothing, [*train(), '--work-dir', '/proc/new'], '--work-dir /proc/new cannot be written to ('),
    (nothing, [*check(), '--out', 'photo.jpg/found.json'],
     '--out photo.jpg: photo.jpg is a file: name a folder'),
    (nothing, ['train.py', CONFIG],
     'work_dirs/ssd_dicenet_300_voc0712 holds a training already, whose newest checkpoint '
     'is epoch_1.pth: give --resume to continue it, --overwrite to delete it and start anew, or another --work-dir'),
    (nothing, [*train(), '--resume'], '--resume continues a training and --overwrite deletes it: give one of them'),
    (nothing, ['train.py', CONFIG, '--data', 'photo.jpg'], 'photo.jpg is a file: --data takes the folder'),
    (nothing, check(checkpoint='photo.jpg'), 'photo.jpg is a JPEG picture, not a checkpoint: '),
    (write('notes.pth', ''), check(checkpoint='notes.pth'), 'notes.pth is empty, not a checkpoint: '),
    (nothing, [*check(), '--launcher', 'pytorch'], '--launcher pytorch is for processes that torchrun has started, and '
     'it has not (RANK is not set): start them with "torchrun --nproc-per-node 4 {root}/tools/test.py ..."'),
    # the command line
    (nothing, ['train.py', CONFIG, '--amo'],
     'there is no option --amo: did you mean --amp? (--help lists the options)'),
    (nothing, ['train.py', CONFIG, 'photo.jpg'], 'photo.jpg is one argument too many'),
    (nothing, ['train.py'], 'the following arguments are required: config'),
    (nothing, train('modl.backbone.widen_factor=1'), '--cfg-options modl.backbone.widen_factor: a configuration has no '
     'modl; did you mean model?'),
    (nothing, train('model.bakbone.widen_factor=1'), '--cfg-options model.bakbone.widen_factor: model has no bakbone; '
     'did you mean backbone?'),
    (nothing, train('model.backbone.widen_facto=1'), '--cfg-options model.backbone.widen_facto: model.backbone has no '
     'widen_facto; did you mean widen_factor?'),
    (nothing, train('model.backbone.colour=1'),
     '--cfg-options model.backbone.colour: model.backbone is a DiCENet, which '
     'takes no colour; it takes '),
    (nothing, train('model.backbone.type=DiceNett'),
     '--cfg-options model.backbone.type=DiceNett: there is no DiceNett; '
     'did you mean DiCENet?'),
    (nothing, train('default_hooks.chekpoint.interval=2'), '--cfg-options default_hooks.chekpoint.interval: '
     'default_hooks has no chekpoint; did you mean checkpoint?'),
    (nothing, train('val_dataloader.dataset.pipeline.99.scale=3'), '--cfg-options val_dataloader.dataset.pipeline.99.'
     'scale: val_dataloader.dataset.pipeline is a list, whose parts are 0 to 3, and 99 is none of them'),
    (nothing, train('train_pipeline.0.type=Resize'),
     '--cfg-options train_pipeline.0.type: train_pipeline only helps to '
     'write the configuration file, and changing it here would change nothing'),
    (nothing, train('train_dataloader=8'),
     '--cfg-options train_dataloader=8: train_dataloader has parts (batch_size, '),
    (nothing, train('train_dataloader.batch_size.x=8'), '--cfg-options train_dataloader.batch_size.x: '
     'train_dataloader.batch_size is 24, which has no x'),
    (nothing, train('train_cfg.max_iters=5'), '--cfg-options train_cfg.max_iters: train_cfg is a ExactEpochLoop, '
     'which takes no max_iters; its length is train_cfg.max_epochs=100'),
    (nothing, train('train_dataloader.batch_size=eight'), '--cfg-options train_dataloader.batch_size=eight: '
     'train_dataloader.batch_size is 24 here, so give a number'),
    (nothing, train('train_dataloader.drop_last=yes'), '--cfg-options train_dataloader.drop_last=yes: '
     'train_dataloader.drop_last is True here, so give True or False'),
    (nothing, train('train_dataloader.batch_size=0'),
     'train_dataloader.batch_size is 0: give a whole number from 1 on'),
    (nothing, train('train_dataloader.batch_size=2.5'),
     'train_dataloader.batch_size is 2.5: give a whole number from 1'),
    (nothing, train('train_dataloader.num_workers=-1'),
     'train_dataloader.num_workers is -1: give a whole number from 0'),
    (nothing, train('train_cfg.max_epochs=0.5'), 'train_cfg.max_epochs is 0.5: give a whole number from 1 on'),
    (nothing, train('optim_wrapper.optimizer.lr=-1'), 'optim_wrapper.optimizer.lr is -1: give a number above 0'),
    (nothing, train('test_dataloader.dataset.metainfo.classes=bolt'), 'test_dataloader.dataset.metainfo.classes is the '
     "text 'bolt', whose letters would be the classes: a single class is written with a comma, ('bolt',)"),
    (nothing, train('model.backbone.out_indices=(1,2'),
     '--cfg-options: the brackets of model.backbone.out_indices=(1,2 '
     'do not close'),
    (nothing, ['train.py', CONFIG, '--device', 'tpu'], '--device takes cpu, cuda or cuda:N, got tpu'),
    (nothing, ['train.py', CONFIG, '--cfg-options', 'foo'], '--cfg-options takes KEY=VALUE pairs, such as'),
    (nothing, [*check(), '--eval', 'mIoU'], 'mIoU is not a metric of this configuration; it has mAP'),
    # batches
    (nothing, train('train_dataloader.batch_size=1'), 'SSD cannot train on a batch of one image, since batch '
     'normalisation needs more than the single pixel of its last feature map: set train_dataloader.batch_size to 2'),
    (nothing, train('train_dataloader.batch_size=16'), '8 training images do not fill a batch of 16, and '
     'train_dataloader.drop_last takes only full ones: set train_dataloader.batch_size to 8 or less'),
    # while training
    (nothing, train('train_cfg.max_epochs=3', 'optim_wrapper.optimizer.lr=1e30', 'optim_wrapper.accumulative_counts=1'),
     'loss_cls, loss_bbox became nan in iteration 2 (epoch 1): no checkpoint was saved yet'),
])
def test_one_sentence(spoil, args, sentence, folder):
    spoil()
    with pytest.raises(SystemExit) as stop:
        command(*args)
    assert isinstance(stop.value.code, str)  # which Python prints, to exit with 1
    assert stop.value.code.startswith('error: ' + sentence.format(here=Path.cwd(), root=ROOT))


def system(number, said):
    """An error of the system while a checkpoint is written, and its sentence."""
    return OSError(number, os.strerror(number), 'work_dirs/a.pth'), (
        f'error: {said} and run the command again, with --resume if it was training. What had been saved before is '
        'whole')


def passed_on():
    """Ctrl-C or a full disk inside compiled code comes out as another error."""
    try:
        raise OSError(28, 'No space left on device', 'work_dirs/a.pth')
    except OSError as error:
        other = RuntimeError('unexpected pos 64 vs 0')
        other.__context__ = error
        return other


@pytest.mark.parametrize('error,sentence', [
    (KeyboardInterrupt(), '\nstopped by the keyboard; checkpoints already saved are whole: continue with the same '
     'command and --resume'),
    system(errno.ENOSPC, 'the disk is full (work_dirs/a.pth): free some space'),
    system(errno.EDQUOT, 'your disk quota is used up (work_dirs/a.pth): free some space'),
    system(errno.EFBIG, 'the file would be larger than allowed (work_dirs/a.pth): raise the limit (ulimit -f), or use '
           'another disk'),
    system(errno.EIO, 'the disk fails (work_dirs/a.pth): check it, or use another one'),
    system(errno.EROFS, 'the disk can only be read (work_dirs/a.pth): use a folder on another one'),
    system(errno.EACCES, 'you may not do that (work_dirs/a.pth): change the permissions, or use another folder'),
    system(errno.EMFILE, 'too many files are open (work_dirs/a.pth): raise the limit (ulimit -n), or lower '
           'num_workers'),
    (passed_on(), system(errno.ENOSPC, 'the disk is full (work_dirs/a.pth): free some space')[1]),
])
def test_interruptions(error, sentence, folder, monkeypatch):
    """Whatever is under way when they come; here the saving of a checkpoint."""
    def stop(*args, **kwargs):
        raise error
    monkeypatch.setattr('torch.save', stop)
    with pytest.raises(SystemExit) as stopped:
        command('train.py', CONFIG, '--resume', '--cfg-options', 'train_cfg.max_epochs=2', *SMALL)
    assert stopped.value.code == sentence
    assert torch.load(CHECKPOINT, weights_only=True)['meta']['epoch'] == 1


def test_what_training_leaves_out_is_counted_once(folder, capfd):
    """Images that cannot be read, up to a share of 5 %, and boxes outside their image."""
    make_voc('data/VOCdevkit', dict(trainval=24, test=2), years=('VOC2007', 'VOC2012'))
    cut(f'{IMAGES}/000001.jpg')()
    edit(f'{NOTES}/000002.xml', '<(xm..)>[0-9]*<', r'<\1>500<')()
    command(*train('train_dataloader.batch_size=2'))  # of 23 + 23 images an epoch drops none
    log = capfd.readouterr().out
    assert log.count('skipped (1 of 23 images so far') == 1
    assert log.count(f'1 of 23 training images could not be read and were skipped: {IMAGES}/000001.jpg') == 1
    assert log.count(f'{LISTS}/trainval.txt: 2 boxes without area dropped') == 1  # with the image, which had no other


def test_traceback_on_request(folder):
    with pytest.raises(UserError):
        command(*train(), '--traceback', '--data', 'mine')


@pytest.mark.parametrize('args', [
    ['train.py', 'nothing.py'], ['test.py', CONFIG, 'nothing.pth'], ['demo.py', 'nothing.jpg', '--weights', CONFIG],
    ['train.py', CONFIG, '--data', 'nothing'], ['train.py', CONFIG, '--cfg-options', 'modl.x=1']])
def test_mistakes_are_told_before_torch_is_imported(args, tmp_path):
    """Which takes seconds, and on a busy machine many."""
    script, *rest = args
    told = subprocess.run([sys.executable, '-X', 'importtime', ROOT / 'tools' / script, *rest], cwd=tmp_path, text=True,
                          capture_output=True)
    assert told.returncode == 1 and told.stderr.splitlines()[-1].startswith('error: ')
    assert not re.search(r'\| +(torch|cv2|mmdet)$', told.stderr, re.MULTILINE)


@pytest.mark.parametrize('error,sentence', [
    (PermissionError(13, 'Permission denied', 'work_dirs/a.pth'), 'error: you may not do that (work_dirs/a.pth): '
     'change the permissions'),
    (FileExistsError(17, 'File exists', 'a.txt'), 'error: a.txt is a file: give another path'),
    (FileNotFoundError(2, 'No such file', 'a.json'), 'error: there is no a.json: check the path'),
    (OSError(5, 'Input/output error'), 'error: the disk fails (Input/output error): '),
    (TypeError("f() got an unexpected keyword argument 'x'"), "error: f() got an unexpected keyword argument 'x' "
     '(--traceback shows where)'),
    (KeyError('Foo is not in the model registry. Please check'), 'error: Foo is not in the model registry: check the '
     'name, or add what registers it to custom_imports'),
    (RuntimeError('CUDA out of memory. Tried to allocate 2 GiB'), 'error: the memory is full: lower '),
    (RuntimeError('DataLoader worker (pid 3) exited unexpectedly'), 'error: DataLoader worker (pid 3) exited '
     'unexpectedly: the system stopped it, mostly since memory ran out'),
    (ModuleNotFoundError("No module named 'mmengine'", name='mmengine'), 'error: mmengine is not installed for '),
])
def test_errors_of_the_machine(error, sentence, monkeypatch):
    """Wherever they come from."""
    def stop(args):
        raise error
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    with pytest.raises(SystemExit) as stopped:
        importlib.import_module('command').main(stop, lambda: argparse.Namespace(traceback=False))
    assert stopped.value.code.startswith(sentence)
