"""Training loops that go on exactly where a training stopped, be it in the middle of an epoch.

Each sample is made with random numbers that depend on seed, epoch and place in the order, each step with ones that
depend on seed, process and step. So no state of a generator has to be saved, and what is done is skipped by its
indices, without reading it.
"""
from collections.abc import Iterator

from mmengine.dataset import InfiniteSampler
from mmengine.dist import broadcast, get_rank, get_world_size
from mmengine.hooks import EMAHook
from mmengine.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from torch import nn
from torch.utils.data import DataLoader

from .randomness import seed_all
from .seeded_data import PlacedLoader


class _Exact:
    """What both loops share.

    Args:
        runner: The runner.
        dataloader: A loader, or the configuration of one.
        **kwargs: As for mmengine's loop.
    """

    #: Batches of the present epoch that are done.
    batches_done = 0
    #: Whether the validation that follows the last step is still to be done.
    validation_due = False

    def __init__(self, runner: Runner, dataloader: DataLoader | dict, **kwargs):
        loader = runner.build_dataloader(dataloader, seed=runner.seed)
        if loader.batch_size is None:  # a batch_sampler makes them
            runner.logger.warning('train_dataloader has a batch_sampler: a resumed training takes other samples than '
                                  'one that was not stopped')
        else:
            loader = PlacedLoader(loader, runner.seed)
        super().__init__(runner, loader, **kwargs)

    def start(self, epoch: int, batches: int) -> None:
        """Let the next iteration over the data begin after some batches of an epoch."""
        if isinstance(self.dataloader, PlacedLoader):
            self.dataloader.start(self.runner.seed, epoch, batches)

    def seed_step(self) -> None:
        """What a step draws (dropout, say) depends on the step."""
        seed_all(self.runner.seed, get_rank(), self._iter)

    def validate_if_due(self) -> None:
        """Catch up with a validation that was interrupted."""
        if self.validation_due and self.runner.val_loop is not None:
            self.validate()
        self.validation_due = False

    def validate(self) -> None:
        """Validate, in all processes with the statistics of batch normalisation of the first, which are saved."""
        if get_world_size() > 1:
            averages = (hook.ema_model for hook in self.runner.hooks if isinstance(hook, EMAHook))
            for model in (self.runner.model, *averages):
                for buffer in model.buffers():
                    broadcast(buffer)
        self.validation_due = True
        self.runner.val_loop.run()
        self.validation_due = False


@LOOPS.register_module()
class ExactEpochLoop(_Exact, EpochBasedTrainLoop):
    """mmengine's ``EpochBasedTrainLoop``, whose arguments it takes, with exact resuming."""

    def run(self) -> nn.Module:
        """Train."""
        self.runner.call_hook('before_train')
        self.validate_if_due()
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            self._decide_current_val_interval()
            if (self.runner.val_loop is not None and self._epoch >= self.val_begin
                    and (self._epoch % self.val_interval == 0 or self._epoch == self._max_epochs)):
                self.validate()
        self.runner.call_hook('after_train')
        return self.runner.model

    def run_epoch(self) -> None:
        """Train for the rest of an epoch."""
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        self.start(self._epoch, self.batches_done)
        if self.batches_done < len(self.dataloader):
            for index, batch in enumerate(self.dataloader, self.batches_done):
                self.run_iter(index, batch)
        self.batches_done = 0
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1

    def run_iter(self, idx: int, data_batch: dict) -> None:
        self.batches_done = idx + 1
        self.seed_step()
        super().run_iter(idx, data_batch)


@LOOPS.register_module()
class ExactIterLoop(_Exact, IterBasedTrainLoop):
    """mmengine's ``IterBasedTrainLoop``, whose arguments it takes, with exact resuming."""

    def run(self) -> nn.Module:
        """Train."""
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        self.validate_if_due()
        batches = self.batches()
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            data_batch = next(batches)
            self.seed_step()
            self.run_iter(data_batch)
            self._decide_current_val_interval()
            if (self.runner.val_loop is not None and self._iter >= self.val_begin
                    and (self._iter % self.val_interval == 0 or self._iter == self._max_iters)):
                self.validate()
        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')
        return self.runner.model

    def batches(self) -> Iterator[dict]:
        """Batches without end, from the present step on."""
        length = len(self.dataloader)
        endless = isinstance(getattr(self.dataloader.sampler, 'sampler', None), InfiniteSampler)
        epoch, done = (0, self._iter) if endless else divmod(self._iter, length)
        while True:
            self.start(epoch, done)
            yield from self.dataloader
            epoch, done = epoch + 1, 0
