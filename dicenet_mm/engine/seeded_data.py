"""Samples whose augmentation depends on seed, epoch and place alone, and whose order can be entered at any place."""
import itertools
from collections.abc import Iterator

from mmengine.dist import get_dist_info
from torch.utils.data import DataLoader, Dataset, Sampler

from .randomness import seeded


class Place(int):
    """The index of a sample, which knows when in the training it is asked for."""

    numbers: tuple[int, ...]


class PlacedSampler(Sampler):
    """The indices of another sampler from any place on, each with the numbers that seed its sample.

    These are the seed, the epoch, and the place in the order of all processes together: with one process or several, a
    sample comes out the same.
    """

    def __init__(self, sampler: Sampler, seed: int):
        self.sampler, self.seed, self.epoch, self.skipped = sampler, seed, 0, 0

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
        first, self.skipped = self.skipped, 0
        for count, index in enumerate(itertools.islice(iter(self.sampler), first, None), first):
            place = Place(index)
            place.numbers = (self.seed, self.epoch, count * processes + rank)
            yield place

    def __len__(self) -> int:
        return len(self.sampler)


class SeededDataset(Dataset):
    """Another data set, each of whose samples is made with generators seeded for its place. All else is the other's."""

    def __init__(self, dataset: Dataset):
        object.__setattr__(self, 'dataset', dataset)

    def __getitem__(self, index: int) -> object:
        if not isinstance(index, Place):
            return self.dataset[index]
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


class PlacedLoader(DataLoader):
    """The batches of another loader, seeded by their places, from any one on: there are none before :meth:`start`."""

    started = False

    def __init__(self, loader: DataLoader, seed: int):
        kept = ('batch_size', 'num_workers', 'collate_fn', 'pin_memory', 'drop_last', 'timeout', 'worker_init_fn',
                'multiprocessing_context', 'generator', 'prefetch_factor', 'persistent_workers')
        super().__init__(SeededDataset(loader.dataset), sampler=PlacedSampler(loader.sampler, seed),
                         **{name: getattr(loader, name) for name in kept})

    def start(self, seed: int, epoch: int, batches: int) -> None:
        """Let the next iteration begin after some batches of an epoch."""
        self.sampler.start(seed, epoch, batches * self.batch_size)
        self.started = True

    def __iter__(self) -> Iterator[object]:
        return super().__iter__() if self.started else iter(())
