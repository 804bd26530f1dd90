"""What a model does wrong on its test data, as tables and pictures.

Heavy modules are imported where they are used: :meth:`InspectOptions.check` tells mistakes before PyTorch is loaded.
"""
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dicenet_mm.errors import UserError
from dicenet_mm.paths import require_folder, require_writable

from .config import load_config
from .data_paths import require_data
from .trained import named_checkpoint


@dataclass
class InspectOptions:
    """What is inspected: the options of ``tools/analysis/inspect_model.py``.

    Attributes:
        config: A configuration: a file, or the name of one of the toolkit's own.
        checkpoint: Weights: a file, a name of published ones, or a work directory.
        data: A folder of data of one's own in place of the configuration's.
        out_dir: Where tables and pictures go.
        score_thr: Detections that score less count as none in the matrix and the pictures.
        worst: Images with the most errors that are drawn.
        batch_size: Images at a time.
        device: As for :class:`dicenet_mm.apis.Inferencer`.
        cfg_options: Values to replace, by dotted key or as ``KEY=VALUE``.
    """
    config: str
    checkpoint: str
    data: str | None = None
    out_dir: str = 'inspected'
    score_thr: float = 0.3
    worst: int = 12
    batch_size: int = 8
    device: str | None = None
    cfg_options: dict | Sequence[str] | None = None

    def check(self) -> None:
        """See whether what is named is there.

        Raises:
            UserError: If it is not.
        """
        named_checkpoint(self.checkpoint)
        require_writable(self.out_dir, '--out-dir')
        if not 0 <= self.score_thr <= 1 or self.worst < 1 or self.batch_size < 1:
            raise UserError('--score-thr is a number from 0 to 1, --worst and --batch-size are whole numbers from 1 on')
        cfg = load_config(self.config, self.cfg_options, imports=False)
        if self.data:
            require_folder(self.data, '--data')
        else:
            require_data(cfg, ['test'])


def inspect_model(options: InspectOptions) -> list[Path]:
    """Predict on the test data of a configuration, and write tables and pictures of what is wrong.

    Returns:
        The files.

    Raises:
        UserError: If something that the options name is missing or wrong, or the data has no truth to compare with.
    """
    from mmengine.registry import DATASETS, init_default_scope
    from tqdm import tqdm

    from dicenet_mm.checkpoint import dataset_meta, read_checkpoint
    from dicenet_mm.datasets.nested import innermost

    from .inferencer import Inferencer
    from .user_data import use_data

    source = named_checkpoint(options.checkpoint)
    cfg = load_config(options.config, options.cfg_options, options.out_dir)
    if options.data:
        print(*use_data(cfg, options.data, ['test'], dataset_meta(read_checkpoint(source), source).get('classes')),
              sep='\n')
    inferencer = Inferencer(source, device=options.device)
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    dataset, = innermost(DATASETS.build(dict(cfg.test_dataloader.dataset, pipeline=[])))
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    if any('img_path' not in info for info in infos):
        raise UserError('the images of this data set are no files: inspect a model on images of your own with --data')
    samples, size = [], options.batch_size
    for first in tqdm(range(0, len(infos), size), desc='images', unit=' batches', disable=None):
        found = inferencer.predict([info['img_path'] for info in infos[first:first + size]])
        samples += [sample.cpu() for sample in found]
    Path(options.out_dir).mkdir(parents=True, exist_ok=True)
    scope = cfg.get('default_scope')
    inspect = dict(mmdet=_detection, mmpretrain=_classification, mmseg=_segmentation).get(scope)
    if inspect is None:
        raise UserError(f'configurations of {scope} cannot be inspected')
    return inspect(options, inferencer, dataset, infos, samples)


def _detection(options, inferencer, dataset, infos, samples) -> list[Path]:
    import numpy as np

    from dicenet_mm.evaluation.coco import ap_table, coco_evaluation, to_result
    from dicenet_mm.evaluation.matches import confusion, matches
    from dicenet_mm.visualization.errors import draw_matches
    from dicenet_mm.visualization.figures import draw_confusion, draw_precision_recall

    folder, classes = Path(options.out_dir), inferencer.dataset_meta['classes']
    if any('instances' not in info for info in infos):
        raise UserError(f'{options.config} has no boxes to compare with')
    results = [to_result(info['instances'], sample.pred_instances) for info, sample in zip(infos, samples)]
    evaluation = coco_evaluation(results, classes)
    files = [_table(folder / 'average_precision.csv', ap_table(evaluation, classes))]
    precision = evaluation.eval['precision'][0, :, :, 0, -1]
    files.append(folder / 'precision_recall.png')
    draw_precision_recall(files[-1], evaluation.params.recThrs, np.where(precision < 0, np.nan, precision), classes)
    sorted_out = matches(evaluation, options.score_thr)
    rows = [(info['img_path'], len(found.right), len(found.wrong), len(found.missed))
            for info, found in zip(infos, sorted_out)]
    order = sorted(range(len(rows)), key=lambda index: -sorted_out[index].errors)
    files.append(_table(folder / 'images.csv', [('image', 'right', 'wrong', 'missed'),
                                                *(rows[index] for index in order)]))
    files += _sheet(folder, [(infos[index]['img_path'], lambda image, index=index: draw_matches(
        image, sorted_out[index], classes), '{} right, {} wrong, {} missed'.format(*rows[index][1:]))
        for index in order[:options.worst]])
    right, wrong, missed = (sum(column) for column in list(zip(*rows))[1:])
    print(f'at a score of {options.score_thr} and IoU 0.5: {right} right, {wrong} wrong, {missed} missed')
    try:
        matrix = confusion([np.column_stack((boxes, rest[:, 0]))[rest[:, 1] == 0] for boxes, rest, *_ in results],
                           [np.column_stack(found) for *_, boxes, labels, scores in results
                            for found in [(boxes, labels, scores)]], len(classes), options.score_thr)
    except UserError as error:
        print(f'note: {error}')
        return files
    files.append(folder / 'confusion_matrix.png')
    draw_confusion(files[-1], matrix, [*classes, '(nothing)'],
                   f'boxes at IoU 0.5 and scores from {options.score_thr}')
    return files


def _classification(options, inferencer, dataset, infos, samples) -> list[Path]:
    import numpy as np
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    from dicenet_mm.visualization.figures import draw_confusion

    folder, classes = Path(options.out_dir), inferencer.dataset_meta['classes']
    truth = [info['gt_label'] for info in infos]
    if any(isinstance(label, list) for label in truth):
        raise UserError('several labels an image have no confusion matrix: "test --eval f1" has a table of the classes')
    scores = np.stack([sample.pred_score.numpy() for sample in samples])
    found, labels = scores.argmax(1), range(len(classes))
    each = zip(classes, *precision_recall_fscore_support(truth, found, labels=labels, zero_division=0))
    files = [_table(folder / 'classes.csv', [('class', 'precision', 'recall', 'f1', 'images'), *each]),
             folder / 'confusion_matrix.png']
    draw_confusion(files[-1], confusion_matrix(truth, found, labels=labels), classes, 'images')
    wrong = [index for index in range(len(infos)) if found[index] != truth[index]]
    wrong.sort(key=lambda index: -scores[index].max())
    print(f'{len(infos) - len(wrong)} of {len(infos)} images are right; the surest of the wrong ones are drawn')
    return files + _sheet(folder, [
        (infos[index]['img_path'], lambda image: image,
         f'{classes[truth[index]]}, taken for {classes[found[index]]} ({scores[index].max():.2f})')
        for index in wrong[:options.worst]])


def _segmentation(options, inferencer, dataset, infos, samples) -> list[Path]:
    import numpy as np
    from sklearn.metrics import confusion_matrix

    from dicenet_mm.datasets.segmentation import IGNORED, LoadMask
    from dicenet_mm.visualization.errors import draw_masks
    from dicenet_mm.visualization.figures import draw_confusion

    folder, classes = Path(options.out_dir), inferencer.dataset_meta['classes']
    total, rows, masks = np.zeros((len(classes),) * 2, np.int64), [], []
    for info, sample in zip(infos, samples):
        found = sample.pred_sem_seg.data.squeeze(0).numpy()
        truth = LoadMask()(dict(info, ori_shape=found.shape, seg_fields=[]))['gt_seg_map']
        counted = truth != IGNORED
        matrix = confusion_matrix(truth[counted], found[counted], labels=range(len(classes)))
        total += matrix
        rows.append((info['img_path'], float(np.nanmean(_ious(matrix))), matrix.trace() / max(1, matrix.sum())))
        masks.append((truth, found))
    ious = _ious(total)
    print(f'mIoU {100 * np.nanmean(ious):.2f} over the classes that occur')
    order = sorted(range(len(rows)), key=lambda index: rows[index][2])
    files = [_table(folder / 'classes.csv', [('class', 'IoU', 'pixels'), *zip(classes, ious, total.sum(1))]),
             _table(folder / 'images.csv', [('image', 'IoU', 'accuracy'), *(rows[index] for index in order)]),
             folder / 'confusion_matrix.png']
    draw_confusion(files[-1], total, classes, 'pixels')
    return files + _sheet(folder, [
        (infos[index]['img_path'], lambda image, index=index: draw_masks(
            image, *masks[index], inferencer.dataset_meta.get('palette'), IGNORED),
         f'{rows[index][2]:.0%} of the pixels right') for index in order[:options.worst]], columns=2, side=700)


def _ious(matrix):
    """Intersection over union of each class, NaN where it is neither there nor found."""
    import numpy as np
    union = matrix.sum(0) + matrix.sum(1) - matrix.diagonal()
    return np.where(union > 0, matrix.diagonal() / np.maximum(union, 1), np.nan)


def _table(path: Path, rows: Sequence[Sequence]) -> Path:
    with open(path, 'w', newline='') as file:
        csv.writer(file).writerows([f'{cell:.4f}' if isinstance(cell, float) else cell for cell in row] for row in rows)
    return path


def _sheet(folder: Path, pictures: Sequence[tuple], columns: int = 4, side: int = 420) -> list[Path]:
    """A contact sheet of image files, each drawn into and with a line above it."""
    import mmcv

    from dicenet_mm.visualization.sheet import contact_sheet
    from dicenet_mm.visualization.text import captioned

    if not pictures:
        return []
    drawn = [captioned(draw(mmcv.imread(path, channel_order='rgb')), f'{Path(path).stem}: {text}')
             for path, draw, text in pictures]
    mmcv.imwrite(contact_sheet(drawn, columns, side)[..., ::-1], str(folder / 'worst.jpg'))
    return [folder / 'worst.jpg']
