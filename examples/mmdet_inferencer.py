"""mmdet's own inferencer with a detector of this project.

    python examples/mmdet_inferencer.py photo.jpg
    python examples/mmdet_inferencer.py photo.jpg --config CONFIG --weights CHECKPOINT
"""
import argparse

import dicenet_mm  # noqa: F401 (registers DiCENet, and closes the gaps that mmdet has without the compiled mmcv)
from dicenet_mm.paths import find_config

from mmdet.apis import DetInferencer  # isort: skip (after dicenet_mm)


def main():
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument('picture')
    made.add_argument('--config', default='voc_subset/rtm_dicenet_320', help='configuration')
    made.add_argument('--weights', default='rtm-dicenet-1.0-voc-320', help='checkpoint, or a name of published weights')
    made.add_argument('--out-dir', default='outputs_mmdet')
    args = made.parse_args()
    inferencer = DetInferencer(str(find_config(args.config)), args.weights, device='cpu', show_progress=False)
    found = inferencer(args.picture, out_dir=args.out_dir, no_save_pred=False)['predictions'][0]
    classes = inferencer.visualizer.dataset_meta['classes']
    for label, score, box in zip(found['labels'], found['scores'], found['bboxes']):
        if score >= 0.3:
            print(classes[label], round(score, 3), [round(side) for side in box])


if __name__ == '__main__':
    main()
