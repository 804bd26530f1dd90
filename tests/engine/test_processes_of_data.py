"""What the processes that load data may take."""
import cv2
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from torch.utils.data import Dataset

from dicenet_mm.engine import QuietRunner


class Threads(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return torch.get_num_threads(), cv2.getNumThreads()


def test_one_thread_each(tmp_path):
    """Whatever the process that trains has, or as many threads as there are cores fight for them in each."""
    cfg = Config.fromfile('configs/_base_/default_runtime.py')
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(2)
    try:
        runner = QuietRunner(torch.nn.Linear(1, 1), str(tmp_path), env_cfg=cfg.env_cfg, experiment_name=tmp_path.name)
        loader = Runner.build_dataloader(dict(
            dataset=Threads(), batch_size=2, num_workers=2, sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='pseudo_collate')))
        found = [sample for batch in loader for sample in zip(*batch)]
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])
    assert runner.cfg is not None and len(found) == 4
    assert {threads for threads, _ in found} == {1} and {threads for _, threads in found} <= {0, 1}
