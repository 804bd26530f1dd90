"""mmengine's runner for the command line."""
import logging

from mmengine.logging import MMLogger
from mmengine.runner import Runner

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
