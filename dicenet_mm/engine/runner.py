"""mmengine's runner for the command line."""
import logging

from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.registry import MODEL_WRAPPERS
from mmengine.runner import Runner
from torch import nn
from torch.distributed import init_process_group, is_initialized
from torch.nn.parallel import DistributedDataParallel

from .hooks.stop import StopHook

# Of a scheduler's state, what counts steps instead of shaping the schedule.
COUNTERS = {'last_step', '_global_step', '_last_value', 'verbose', 'base_values'}


class QuietRunner(Runner):
    """mmengine's Runner, whose listings of the environment, the configuration and the hooks go to the log file alone.

    Resuming takes rate and schedule from the checkpoint; where those of the configuration differ, it says so.
    """

    def __init__(self, *args, **kwargs):
        self._building = True
        super().__init__(*args, **kwargs)
        self._building = False

    def build_logger(self, *args, **kwargs) -> MMLogger:
        """A logger whose screen shows no more than warnings while the runner is built."""
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.addFilter(lambda record: not self._building or record.levelno >= logging.WARNING)
        return logger

    def train(self) -> nn.Module:
        """See mmengine; where an error ends the training, signals do again what they did before."""
        try:
            return super().train()
        finally:
            for hook in self.hooks:
                if isinstance(hook, StopHook):
                    hook.after_train(self)

    def setup_env(self, env_cfg: dict) -> None:
        """mmengine's, which gives each of several processes a GPU whether there are any or not."""
        if self.distributed and self.launcher == 'pytorch' and get_device() == 'cpu' and not is_initialized():
            init_process_group('gloo')
        super().setup_env(env_cfg)

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """mmengine's, which names a GPU for each of several processes whether there are any or not."""
        kind = MODEL_WRAPPERS.get((model_wrapper_cfg or {}).get('type', 'MMDistributedDataParallel'))
        if self.distributed and get_device() == 'cpu' and issubclass(kind, DistributedDataParallel):
            model_wrapper_cfg = dict(
                dict(broadcast_buffers=False, find_unused_parameters=self.cfg.get('find_unused_parameters', False))
                if model_wrapper_cfg is None else model_wrapper_cfg, device_ids=None)
        return super().wrap_model(model_wrapper_cfg, model)

    @property
    def log_file(self) -> str | None:
        """Where everything is written."""
        return self.logger.log_file

    def resume(self, filename: str, *args, **kwargs) -> None:
        """See mmengine."""
        asked = self._plan()
        super().resume(filename, *args, **kwargs)
        kept = self._plan()
        changed = [f'{key} is {kept[key]}, not {value}' for key, value in asked.items()
                   if key in kept and kept[key] != value]
        if changed:
            self.logger.warning(
                f'resuming goes on with the rate and schedule of {filename}, not with those given now: '
                f'{"; ".join(changed[:6])}. For a training with new ones that starts from its weights, leave --resume '
                f'out and give --cfg-options load_from={filename} and another --work-dir')

    def _plan(self) -> dict[str, float]:
        """What resuming replaces: the optimizer's numbers, and the shape of each schedule."""
        plan = {}
        for group in self.optim_wrapper.param_groups[:1]:
            plan.update({f'optimizer.{key}': value for key, value in group.items()
                         if key not in ('params', 'lr', 'initial_lr') and isinstance(value, (int, float))})
            plan['optimizer.lr'] = group.get('initial_lr', group['lr'])
        schedules = self.param_schedulers if isinstance(self.param_schedulers, list) else []
        for index, schedule in enumerate(schedules):
            plan.update({f'param_scheduler.{index}.{key}': value for key, value in schedule.state_dict().items()
                         if key not in COUNTERS and isinstance(value, (int, float))})
        return plan
