"""PASCAL VOC average precision."""
from mmdet.evaluation import VOCMetric, eval_map
from mmengine.logging import MMLogger
from mmengine.registry import METRICS

from .tables import tell_absent


@METRICS.register_module()
class PascalVOCMetric(VOCMetric):
    """mmdet's VOC metric at IoU 0.5, with the AP of each class, in the definition that belongs to the data set.

    That is the mean over 11 points of recall on VOC2007 and the area under the curve everywhere else. Difficult objects
    count neither way, and the mean is over the classes that occur (NaN if none does). Values are from 0 to 1.

    Args:
        **kwargs: ``collect_device`` and the like, as for every metric of mmengine.
    """

    def __init__(self, **kwargs):
        super().__init__(iou_thrs=0.5, metric='mAP', **kwargs)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """``{'mAP': mean, 'AP/<class>': AP of each class that occurs}``."""
        annotations, detections = zip(*results)
        classes = self.dataset_meta['classes']
        points = '11points' if self.dataset_meta.get('dataset_type') == 'VOC2007' else 'area'
        logger = MMLogger.get_current_instance()
        logger.info(f'PASCAL VOC AP at IoU 0.5 ({"11 points" if points == "11points" else "area under the curve"}):')
        mean, per_class = eval_map(detections, annotations, iou_thr=0.5, dataset=classes, logger=logger,
                                   eval_mode=points, use_legacy_coordinate=True, nproc=2)
        tell_absent([name for name, result in zip(classes, per_class) if result['num_gts'] == 0])
        if not any(result['num_gts'] for result in per_class):
            mean = float('nan')
        return {'mAP': float(mean), **{
            f'AP/{name}': float(result['ap']) for name, result in zip(classes, per_class) if result['num_gts'] > 0}}
