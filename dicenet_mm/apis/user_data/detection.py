"""A person's own boxes: VOC, COCO or YOLO layout."""
from collections.abc import Callable, Sequence
from pathlib import Path

from mmdet.datasets import CocoDataset, VOCDataset
from mmengine.config import Config

from dicenet_mm.datasets.files import head
from dicenet_mm.errors import UserError
from dicenet_mm.visualization.text import class_colours

from ..inputs import IMAGES
from .coco import find_coco, read_coco_layout, why_not_coco
from .config import replace_data_set, with_classes
from .layout import Layout, contents
from .voc import find_voc, read_voc_layout
from .yolo import find_yolo, read_yolo_layout


def use(cfg: Config, folder: Path, splits: Sequence[str], classes: Sequence[str] | None = None) -> list[str]:
    """See :func:`dicenet_mm.apis.user_data.use_data`; the configuration is one of mmdet."""
    return fit(cfg, folder, splits, classes, recognise)


def fit(cfg: Config, folder: Path, splits: Sequence[str], classes: Sequence[str] | None,
        recognise: Callable[..., Layout]) -> list[str]:
    """:func:`use` with the layouts of any task: ``recognise(folder, work_dir, classes)`` tells and reads them."""
    layout = recognise(folder, Path(cfg.work_dir))
    for split in splits:
        if split not in layout.datasets:
            raise UserError(f'{folder} ({layout.name} layout) has no {split} split, only '
                            f'{" and ".join(layout.datasets)}: docs/data.md shows the names of lists and files')
    if not layout.classes:
        raise UserError(f'{folder} ({layout.name} layout) has no class names: none of its annotations has an object')
    if classes:
        unknown = [name for name in layout.classes if name not in classes]
        if unknown:
            raise UserError(f'{folder} has classes that the checkpoint was not trained on ({head(unknown)}); its own '
                            f'are {head(classes)}: test on data of these, or train on this data first')
        if layout.classes != tuple(classes):
            layout = recognise(folder, Path(cfg.work_dir), classes)
    metainfo = dict(classes=layout.classes, palette=palette(layout.classes))
    for split, datasets in layout.datasets.items():
        if cfg.get(f'{split}_dataloader'):
            entries = [dict(entry, metainfo=metainfo, test_mode=split != 'train') for entry in datasets]
            cfg[f'{split}_dataloader'] = _with_data(cfg[f'{split}_dataloader'], entries)
    for module in with_classes(cfg.model):
        module['num_classes'] = len(layout.classes)
    if 'val' in layout.metrics:
        cfg.val_evaluator = layout.metrics['val']['mAP']
    if 'test' in layout.metrics:
        cfg.evaluators = layout.metrics['test']
        cfg.test_evaluator = cfg.evaluators['mAP']
    saving = cfg.get('default_hooks', {}).get('checkpoint') or {}
    best, _, _ = layout.best.partition('/')
    if best and saving.get('save_best') and str(saving['save_best']).partition('/')[0] != best:
        saving['save_best'] = layout.best
    return [f'{folder}: {layout.name} layout, {len(layout.classes)} classes', *layout.notes]


def recognise(folder: Path, work_dir: Path, classes: Sequence[str] | None = None) -> Layout:
    """Tell the layout of a folder and read it.

    Raises:
        UserError: If it is none that is known; the message says what was found and what was expected.
    """
    folder = folder.resolve()
    try:
        voc, stop = find_voc(folder), None
    except UserError as error:
        voc, stop = [], error
    if voc:
        return read_voc_layout(voc, work_dir, classes)
    coco = find_coco(folder)
    if coco:
        return read_coco_layout(folder, coco, work_dir, classes)
    yolo = find_yolo(folder)
    if yolo:
        return read_yolo_layout(folder, yolo, work_dir, classes)
    if stop:
        raise stop
    wrong = why_not_coco(folder)
    if wrong:
        raise UserError(wrong)
    if any(path.suffix.lower() in IMAGES for path in folder.iterdir()):
        hint = 'there are images but no annotations'
    else:
        hint = 'is it the right folder?'
    raise UserError(f'the layout of {folder} is not known: expected Annotations/*.xml with JPEGImages/ (VOC), '
                    'annotations/*.json or a single JSON beside the images (COCO), data.yaml or images/ with labels/ '
                    '(YOLO); found '
                    f'{contents(folder)}; {hint} (docs/data.md shows the layouts)')


def palette(classes: Sequence[str]) -> list[tuple[int, int, int]]:
    """A colour (R, G, B) for each class: the known ones of VOC's and COCO's classes, else any."""
    for known in (VOCDataset.METAINFO, CocoDataset.METAINFO):
        if set(classes) == set(known['classes']):
            colours = dict(zip(known['classes'], known['palette']))
            return [colours[name] for name in classes]
    return class_colours(len(classes))


def _with_data(loader: dict, datasets: Sequence[dict]) -> dict:
    """A data loader with other data in the place and with the pipeline of its own."""
    def make(own: dict) -> dict:
        entries = [dict(entry, pipeline=own['pipeline'], filter_cfg=own.get('filter_cfg')) for entry in datasets]
        if len(entries) == 1:
            return entries[0]
        return dict(type='ConcatDataset', ignore_keys=['dataset_type'], datasets=entries)  # which is VOC's year
    return dict(loader, dataset=replace_data_set(loader['dataset'], make))
