"""Make masks of VOC's 21 classes from COCO's instance annotations, for more images to train on.

    python tools/dataset_converters/coco_to_voc21.py data/coco --out data/coco_voc21

writes, for train2017 and val2017, palette PNGs to `data/coco_voc21/train2017/` and the names of the images to
`data/coco_voc21/train2017.txt`. Nothing is written into the folder of the data. Of overlapping objects the smaller one
is on top; crowds are 255, ignored. Images with little of the 20 classes are left out.
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
import command  # noqa: E402

#: COCO's names of VOC's classes, where they differ.
RENAMED = dict(airplane='aeroplane', motorcycle='motorbike', couch='sofa', tv='tvmonitor',
               **{'dining table': 'diningtable', 'potted plant': 'pottedplant'})


def parse_args():
    made = command.parser(__doc__)
    made.add_argument('root', help='folder with annotations/instances_*2017.json')
    made.add_argument('--out', required=True, metavar='DIR', help='folder for the masks and lists')
    made.add_argument('--splits', nargs='+', default=['train2017', 'val2017'], help='(default: train2017 val2017)')
    made.add_argument('--min-pixels', type=int, default=1000, metavar='N',
                      help="leave out images with fewer pixels of VOC's objects (default: 1000)")
    return made.parse_args()


def class_map(coco, image_id: int, labels: dict[int, int]):
    """(H, W) uint8: the class of each pixel of an image; ``labels`` maps COCO's categories to them."""
    import numpy as np
    image = coco.loadImgs(image_id)[0]
    mask = np.zeros((image['height'], image['width']), np.uint8)
    objects = coco.loadAnns(coco.getAnnIds(image_id, catIds=list(labels)))
    # the largest first, so that smaller ones cover it; crowds below all that is known one by one
    for entry in sorted(objects, key=lambda entry: (not entry.get('iscrowd'), -entry['area'])):
        mask[coco.annToMask(entry) > 0] = 255 if entry.get('iscrowd') else labels[entry['category_id']]
    return mask


def convert(root: Path, split: str, out_dir: Path, min_pixels: int) -> tuple[int, int]:
    """Write the masks and the list of one split; the number of images kept and seen."""
    import contextlib
    import io

    from pycocotools.coco import COCO
    from tqdm import tqdm

    from dicenet_mm.apis import require_file
    from dicenet_mm.datasets import VOCSegDataset
    from dicenet_mm.evaluation import save_mask

    file = require_file(str(root / f'annotations/instances_{split}.json'), 'annotation file')
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(file))
    classes = VOCSegDataset.METAINFO['classes']
    labels = {entry['id']: classes.index(name) for entry in coco.loadCats(coco.getCatIds())
              if (name := RENAMED.get(entry['name'], entry['name'])) in classes}
    kept = []
    for image in tqdm(coco.loadImgs(sorted(coco.getImgIds())), desc=split, disable=None):
        mask = class_map(coco, image['id'], labels)
        if ((mask > 0) & (mask < 255)).sum() < min_pixels:
            continue
        name = Path(image['file_name']).stem
        save_mask(mask, VOCSegDataset.METAINFO['palette'], out_dir / f'{split}/{name}.png')
        kept.append(name)
    (out_dir / f'{split}.txt').write_text(''.join(f'{name}\n' for name in kept))
    return len(kept), len(coco.getImgIds())


def run(args):
    from dicenet_mm.errors import UserError

    root, out_dir = Path(args.root), Path(args.out)
    if root.resolve() in (out_dir.resolve(), *out_dir.resolve().parents):
        raise UserError(f'--out {out_dir} lies in the data, {root}: give another folder')
    out_dir.mkdir(parents=True, exist_ok=True)
    for split in args.splits:
        kept, seen = convert(root, split, out_dir, args.min_pixels)
        print(f'{split}: {kept} of {seen} images in {out_dir / split}')


if __name__ == '__main__':
    command.main(run, parse_args)
