"""Samples whose augmentation depends on seed, epoch and place alone, and whose order can be entered at any place."""
import itertools
from collections.abc import Iterator

from mmengine.dist import get_dist_info
from torch.utils.data import DataLoader, Dataset, Sampler

from dicenet_mm.datasets.nested import innermost

from .randomness import seeded

#: Samples of one worker after which transforms that keep earlier ones begin anew, so that no more have to be made once
#: more where a training goes on in the middle of an epoch.
KEPT = 1024


class Place(int):
    """The index of a sample, which knows when in the training it is asked for."""

    #: What its random numbers are seeded from.
    numbers: tuple[int, ...]
    #: Samples of one turn may be made of each other.
    turn: tuple[int, int]


class PlacedSampler(Sampler):
    """The indices of another sampler from any place on, each with the numbers that seed its sample.

    These are the seed, the epoch, and the place in the order of all processes together: with one process or several, a
    sample comes out the same.

    Args:
        sampler: The other one.
        seed: Of the training.
        turn: Samples of this process until transforms that keep earlier ones begin anew.
    """

    def __init__(self, sampler: Sampler, seed: int, turn: int):
        self.sampler, self.seed, self.epoch, self.skipped = sampler, seed, 0, 0
        self.turn, self.entered = turn, 0

    def start(self, seed: int, epoch: int, skipped: int) -> None:
        """Say where the next iteration begins: ``skipped`` samples of this process are already done."""
        self.seed, self.skipped = seed, skipped
        if hasattr(self.sampler, 'seed'):
            self.sampler.seed = seed
        self.set_epoch(epoch)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        if hasattr(self.sampler, 'set_epoch'):
            self.sampler.set_epoch(epoch)

    def __iter__(self) -> Iterator[Place]:
        rank, processes = get_dist_info()
        first, self.skipped, self.entered = self.skipped, 0, self.entered + 1
        for count, index in enumerate(itertools.islice(iter(self.sampler), first, None), first):
            place = Place(index)
            place.numbers = (self.seed, self.epoch, count * processes + rank)
            place.turn = (self.entered, count // self.turn)
            yield place

    def __len__(self) -> int:
        return len(self.sampler)


class SeededDataset(Dataset):
    """Another data set, each of whose samples is made with generators seeded for its place. All else is the other's.

    Transforms that keep earlier samples, such as mmdet's ``CachedMosaic``, begin each turn with none.
    """

    def __init__(self, dataset: Dataset):
        object.__setattr__(self, 'dataset', dataset)
        object.__setattr__(self, 'turn', None)

    def __getitem__(self, index: int) -> object:
        if not isinstance(index, Place):
            return self.dataset[index]
        if index.turn != self.turn:
            object.__setattr__(self, 'turn', index.turn)
            for kept in kept_samples(self.dataset):
                kept.clear()
        with seeded(*index.numbers):
            return self.dataset[int(index)]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getattr__(self, name: str) -> object:
        if name == 'dataset' or name.startswith('__'):  # not there yet, or not to be passed by
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __setattr__(self, name: str, value: object) -> None:  # hooks replace pipelines
        setattr(self.dataset, name, value)


def kept_samples(dataset: Dataset) -> list[list]:
    """The lists in which transforms keep earlier samples."""
    waiting = [getattr(part, 'pipeline', None) for part in innermost(dataset)]
    found = []
    while waiting:
        transform = waiting.pop()
        if isinstance(getattr(transform, 'results_cache', None), list):
            found.append(transform.results_cache)
        inner = getattr(transform, 'transforms', None) or ()
        waiting += inner if isinstance(inner, (list, tuple)) else [inner]
    return found


class PlacedLoader(DataLoader):
    """The batches of another loader, seeded by their places, from any one on: there are none before :meth:`start`.

    Where transforms keep earlier samples, what is done of the present turn is made once more, to be kept again.
    """

    started, again = False, 0

    def __init__(self, loader: DataLoader, seed: int):
        kept = ('batch_size', 'num_workers', 'collate_fn', 'pin_memory', 'drop_last', 'timeout', 'worker_init_fn',
                'multiprocessing_context', 'generator', 'prefetch_factor', 'persistent_workers')
        #: Batches of a turn, the same number for each worker: the first is of the first worker again.
        self.turn = -(-KEPT // loader.batch_size) * max(loader.num_workers, 1)
        super().__init__(SeededDataset(loader.dataset),
                         sampler=PlacedSampler(loader.sampler, seed, self.turn * loader.batch_size),
                         **{name: getattr(loader, name) for name in kept})

    def start(self, seed: int, epoch: int, batches: int) -> None:
        """Let the next iteration begin after some batches of an epoch."""
        self.again = batches % self.turn if kept_samples(self.dataset) else 0
        self.sampler.start(seed, epoch, (batches - self.again) * self.batch_size)
        self.started = True

    def __iter__(self) -> Iterator[object]:
        if not self.started:
            return iter(())
        batches, again = super().__iter__(), self.again
        self.again = 0
        for _ in range(again):
            next(batches)
        return batches
