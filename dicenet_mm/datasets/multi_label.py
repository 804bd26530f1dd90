"""Labels of whole images from annotations of objects."""
from mmengine.registry import DATASETS

from dicenet_mm.errors import UserError

from .annotations import Annotations
from .detection import CheckedCocoDataset
from .files import head


@DATASETS.register_module()
class MultiLabelCocoDataset(CheckedCocoDataset):
    """COCO's object annotations as labels of the image: the classes of which it shows something (Table VII).

    - A crowd counts like any other annotation: it shows that the class is there.
    - What the detection data set leaves out does not count: boxes outside the image or without area.
    - Images without a label stay, as all negative, unless ``filter_cfg=dict(filter_empty_gt=True)`` leaves them out, in
      testing as well as in training. The configurations of COCO do, as is usual for this benchmark.

    Args:
        complete: Whether every class must be among the categories of the file, since each has an output.
        **kwargs: As for :class:`CheckedCocoDataset`.
    """

    def __init__(self, *args, complete: bool = True, **kwargs):
        self.complete = complete
        super().__init__(*args, **kwargs)

    def read(self) -> Annotations:
        """See :class:`CheckedCocoDataset`.

        Raises:
            UserError: If a class is missing.
        """
        found = super().read()
        missing = [name for name in self.metainfo['classes'] if name not in found.classes]
        if missing and self.complete:
            raise UserError(f'{self.ann_file} is without the categories {head(missing)} of this configuration; it has '
                            f'{head(found.classes)}. Use --data, which reads the class names, or set metainfo.classes '
                            'of the data set')
        return found

    def load_data_list(self) -> list[dict]:
        """The images, each with ``gt_label``, the sorted labels of what it shows."""
        return [{'gt_label': sorted({instance['bbox_label'] for instance in info['instances']}),
                 **{key: info[key] for key in ('img_path', 'img_id', 'width', 'height')}}
                for info in super().load_data_list()]

    def filter_data(self) -> list[dict]:
        if (self.filter_cfg or {}).get('filter_empty_gt'):
            self.data_list = [info for info in self.data_list if info['gt_label']]
        return super().filter_data()

    @staticmethod
    def labels(info: dict) -> list[int]:
        return info['gt_label']

    def get_cat_ids(self, idx: int) -> list[int]:
        """The labels of an image."""
        return self.get_data_info(idx)['gt_label']
