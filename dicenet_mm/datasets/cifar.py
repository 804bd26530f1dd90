"""CIFAR-10 as the other data sets give their images."""
from mmengine.registry import DATASETS
from mmpretrain.datasets import CIFAR10


@DATASETS.register_module()
class BGRCIFAR10(CIFAR10):
    """mmpretrain's CIFAR-10 with images in BGR, as image files are read, so that the trained model takes these, too."""

    def load_data_list(self) -> list[dict]:
        return [dict(info, img=info['img'][..., ::-1].copy(), img_shape=(32, 32), ori_shape=(32, 32))
                for info in super().load_data_list()]
