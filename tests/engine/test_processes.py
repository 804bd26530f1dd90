"""Two processes that train and measure together, over gloo."""
import contextlib
import multiprocessing
import os
import signal
import traceback
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmengine.dist import get_rank
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from torch import nn
from torch.utils.data import Dataset

from dicenet_mm.apis import latest_checkpoint
from dicenet_mm.checkpoint import read_checkpoint
from dicenet_mm.engine import QuietRunner
from dicenet_mm.errors import Stopped
from dicenet_mm.evaluation import CocoDetectionMetric, MeanIoU, MultiLabelF1, PascalVOCMetric, TopAccuracy

pytestmark = pytest.mark.skipif('fork' not in multiprocessing.get_all_start_methods()
                                or not torch.distributed.is_gloo_available(), reason='needs fork and gloo')


def together(work, folder, *args, count=2):
    """Run ``work(*args)`` in several processes that can talk; what each returned."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)

    def begin(rank):
        code = 1
        with contextlib.suppress(BaseException):
            os.environ.update(RANK=str(rank), WORLD_SIZE=str(count), LOCAL_RANK=str(rank), LOCAL_WORLD_SIZE=str(count))
            torch.distributed.init_process_group('gloo', init_method=f'file://{folder}/meeting', rank=rank,
                                                 world_size=count)
            try:
                torch.save(work(*args), folder / f'rank{rank}.pt')
                code = 0
            except BaseException:
                traceback.print_exc()
        os._exit(code)

    processes = [multiprocessing.get_context('fork').Process(target=begin, args=(rank, )) for rank in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        if process.exitcode is None:
            process.kill()
    (folder / 'meeting').unlink(missing_ok=True)
    assert [process.exitcode for process in processes] == [0] * count
    return [torch.load(folder / f'rank{rank}.pt', weights_only=False) for rank in range(count)]


class Net(BaseModel):
    """With statistics and dropout, if it is asked for them."""

    def __init__(self, random=True):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8) if random else nn.Identity(), nn.ReLU(),
                                    nn.Dropout(.3 if random else 0), nn.Linear(8, 1))

    def forward(self, x, y, mode):
        error = self.layers(x) - y
        return dict(loss=error.square().mean()) if mode == 'loss' else list(error)


class Noisy(Dataset):
    """Points that are augmented: what is drawn depends on the place in the order."""

    def __init__(self, count=12, noise=1.):
        self.count, self.noise = count, noise

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        noise = self.noise * (.3 * torch.randn(3) + .1 * float(np.random.randn()))
        return dict(x=torch.tensor([i, 1., -i]) / 9 + noise, y=torch.tensor([i / 5]))


class Error(BaseMetric):
    default_prefix = 'test'

    def process(self, data_batch, data_samples):
        self.results += [abs(float(error)) for error in data_samples]

    def compute_metrics(self, results):
        assert len(results) == 7
        return dict(error=sum(results) / 7)


class Gradients(Hook):
    """Keeps the gradients that the first update of the weights is made with."""

    def before_train(self, runner):
        self.kept, model = {}, getattr(runner.model, 'module', runner.model)

        def keep(*_):
            self.kept = self.kept or {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
        runner.optim_wrapper.optimizer.register_step_pre_hook(keep)


class Signal(Hook):
    """A signal that one of the processes gets in the middle of a step."""

    def __init__(self, step, rank):
        self.step, self.rank = step, rank

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 == self.step and get_rank() == self.rank:
            os.kill(os.getpid(), signal.SIGTERM)


def train(work_dir, batch, random=True, steps=1, stop=None, resume=False):
    """Two epochs; state and gradients, or the sentence of a stop."""
    DefaultScope._instance_dict.clear()
    torch.manual_seed(0)
    several = torch.distributed.is_initialized()
    found = str(latest_checkpoint(work_dir)) if resume else None
    gradients, loader = Gradients(), dict(num_workers=0, collate_fn=dict(type='default_collate'))
    runner = QuietRunner(
        Net(random), str(work_dir), launcher='pytorch' if several else 'none', log_level='ERROR',
        train_dataloader=dict(loader, batch_size=batch, dataset=Noisy(),
                              sampler=dict(type='DefaultSampler', shuffle=True)),
        val_dataloader=dict(loader, batch_size=3, dataset=Noisy(7, 0.),
                            sampler=dict(type='DefaultSampler', shuffle=False)),
        val_cfg=dict(), val_evaluator=[Error()],
        train_cfg=dict(type='ExactEpochLoop', max_epochs=2), experiment_name=f'{Path(work_dir).name}{found}{batch}',
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=.05, momentum=.9), accumulative_counts=steps),
        param_scheduler=dict(type='LinearLR', start_factor=.1, end=4, by_epoch=False),
        default_hooks=dict(checkpoint=dict(type='PlainCheckpointHook', interval=1)),
        custom_hooks=[dict(type='UpdateEMAHook', momentum=.1), dict(type='StopHook'), gradients,
                      *([Signal(*stop)] if stop else [])],
        env_cfg=dict(dist_cfg=dict(backend='gloo')), randomness=dict(seed=None if resume else 3), load_from=found,
        resume=resume)
    try:
        runner.train()
    except Stopped as stopped:
        return str(stopped)
    model = getattr(runner.model, 'module', runner.model)
    return dict(gradients=gradients.kept, weights={name: value.detach() for name, value in model.named_parameters()},
                statistics=dict(model.named_buffers()), error=runner.message_hub.get_scalar('val/test/error').current())


def same(left, right):
    assert left.keys() == right.keys() and len(left)
    return all(torch.equal(left[name], right[name]) for name in left)


def close(left, right):
    assert left.keys() == right.keys() and len(left)
    for name in left:
        torch.testing.assert_close(left[name], right[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('steps', [1, 2])
def test_two_processes_are_one_with_the_double_batch(steps, tmp_path):
    """Every sample, with its augmentation, is seen once; gradients are the mean over the processes."""
    first, second = together(train, tmp_path / 'two', tmp_path / 'two/work', 2, False, steps)
    one = train(tmp_path / 'one', 4, False, steps)
    assert same(first['weights'], second['weights']) and same(first['gradients'], second['gradients'])
    close(first['gradients'], one['gradients'])
    close(first['weights'], one['weights'])
    other = train(tmp_path / 'other', 2, False, steps)  # or the comparison would show nothing
    assert (one['gradients']['layers.0.weight'] - other['gradients']['layers.0.weight']).abs().max() > 1e-3


@pytest.mark.parametrize('stop', [(2, 1), (5, 0)])  # between two steps of an update: the gradients of both wait
def test_stopped_and_resumed_by_all(stop, tmp_path):
    """One process is told to stop: all do after the same step, and go on to the same bits, each with its gradients."""
    first, second = together(train, tmp_path / 'whole', tmp_path / 'whole/work', 2, True, 2)
    assert same(first['weights'], second['weights'])
    network = Net()
    network.load_state_dict(read_checkpoint(tmp_path / 'whole/work/epoch_2.pth')['state_dict'])
    with torch.no_grad():
        points = [Noisy(7, 0.)[index] for index in range(7)]
        error = network.eval()(*(torch.stack([point[key] for point in points]) for key in 'xy'), 'predict')
    for measured in (first, second):  # the checkpoint, by images of which one process has four and the other three
        assert measured['error'] == pytest.approx(float(torch.stack(error).abs().mean()), rel=1e-5)
    work_dir = tmp_path / 'parts/work'
    for sentence in together(train, tmp_path / 'parts', work_dir, 2, True, 2, stop):
        assert f'stopped by SIGTERM after step {stop[0]}, which is saved in' in sentence
    assert latest_checkpoint(work_dir).name == f'stopped_iter_{stop[0]}.pth'
    for resumed in together(train, tmp_path / 'parts', work_dir, 2, True, 2, None, True):
        assert same(resumed['weights'], first['weights'])
    a, b = (read_checkpoint(latest_checkpoint(folder)) for folder in (tmp_path / 'whole/work', work_dir))
    assert same(a['state_dict'], b['state_dict']) and same(a['ema_state_dict'], b['ema_state_dict'])


# Metrics. Seven images: one process has three of its own and one that is there only to fill up.

IMAGES, CLASSES = 7, ('a', 'b', 'c')


def box_sample(index):
    rng = np.random.default_rng(index)
    corners = rng.uniform(0, 50, (4, 2))
    truth = np.concatenate((corners, corners + rng.uniform(9, 40, (4, 2))), 1).astype(np.float32)
    found = truth + rng.normal(0, 3, truth.shape).astype(np.float32)
    labels = rng.integers(0, 3, 4)

    def instances(boxes, **more):
        return dict(bboxes=torch.tensor(boxes), labels=torch.tensor(labels), **more)
    return dict(
        img_id=index, ori_shape=(100, 100), gt_instances=instances(truth),
        ignored_instances=dict(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long)),
        pred_instances=instances(found, scores=torch.tensor(rng.uniform(.1, 1, 4).astype(np.float32))),
        instances=[dict(bbox=box.tolist(), bbox_label=int(label), ignore_flag=0, area=float(np.prod(box[2:] - box[:2])))
                   for box, label in zip(truth, labels)])


def mask_sample(index):
    rng = np.random.default_rng(index)
    truth = rng.integers(0, 3, (1, 9, 8))
    found = np.where(rng.random(truth.shape) < .6, truth, rng.integers(0, 3, truth.shape))
    return dict(gt_sem_seg=dict(data=torch.tensor(truth)), pred_sem_seg=dict(data=torch.tensor(found)))


def class_sample(index):
    scores = torch.tensor(np.random.default_rng(index).dirichlet([1] * 3))
    return dict(pred_score=scores, pred_label=scores.argmax(0, True), gt_label=torch.tensor([index % 3]))


def several_sample(index):
    scores = torch.tensor(np.random.default_rng(index).random(3))
    return dict(pred_score=scores, gt_score=torch.tensor([index % 2, 1, index % 3 > 0]).float(), num_classes=3)


METRICS = {'VOC': (PascalVOCMetric, box_sample), 'COCO': (CocoDetectionMetric, box_sample),
           'mIoU': (MeanIoU, mask_sample), 'accuracy': (TopAccuracy, class_sample),
           'labels': (MultiLabelF1, several_sample)}


def measure(names):
    """Each metric over the images of this process, in batches whose last is not full."""
    found = {}
    for name in names:
        build, sample = METRICS[name]
        metric = build()
        metric.dataset_meta = dict(classes=CLASSES)
        order = list(DefaultSampler(range(IMAGES), shuffle=False))
        for first in range(0, len(order), 3):
            metric.process({}, [sample(index) for index in order[first:first + 3]])
        found[name] = metric.evaluate(IMAGES)
    return found


def test_metrics_are_those_of_one_process(tmp_path):
    one = measure(METRICS)
    for several in together(measure, tmp_path, list(METRICS)):
        for name in METRICS:
            assert several[name] == pytest.approx(one[name], rel=1e-6, nan_ok=True), name
    assert all(0 < list(values.values())[0] < 100 for values in one.values())
