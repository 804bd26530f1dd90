"""Small things in large pictures: SAHI cuts them into tiles, and joins what is found in these.

    pip install sahi
    python examples/sahi_tiling.py large.jpg --tile 320
"""
import argparse

import numpy as np
from sahi.models.base import DetectionModel
from sahi.predict import get_sliced_prediction
from sahi.prediction import ObjectPrediction
from sahi.utils.compatibility import fix_full_shape_list, fix_shift_amount_list

from dicenet_mm.apis import Inferencer


class DicenetDetectionModel(DetectionModel):
    """A detector of dicenet_mm for SAHI."""

    def load_model(self):
        self.set_model(Inferencer(self.model_path, device=self.device.type))

    def set_model(self, model, **kwargs):
        self.model = model
        self.category_mapping = dict(enumerate(model.dataset_meta['classes']))

    def perform_inference(self, image: np.ndarray):
        self._original_predictions = self.model.predict(np.ascontiguousarray(image[..., ::-1]))  # SAHI has RGB

    def _create_object_prediction_list_from_original_predictions(self, shift_amount_list=None, full_shape_list=None):
        shift = fix_shift_amount_list(shift_amount_list)[0]
        shape = (fix_full_shape_list(full_shape_list) or [None])[0]
        found = self._original_predictions[0].pred_instances.cpu()
        self._object_prediction_list_per_image = [[
            ObjectPrediction(bbox=box, category_id=label, score=score, category_name=self.category_mapping[label],
                             shift_amount=shift, full_shape=shape)
            for box, label, score in zip(found.bboxes.tolist(), found.labels.tolist(), found.scores.tolist())
            if score >= self.confidence_threshold]]


def main():
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument('picture')
    made.add_argument('--weights', help='checkpoint (default: the built-in detector)')
    made.add_argument('--tile', type=int, default=320, help='side of a tile, px')
    made.add_argument('--out-dir', default='tiled')
    args = made.parse_args()
    model = DicenetDetectionModel(model_path=args.weights, confidence_threshold=0.3, device='cpu')
    result = get_sliced_prediction(args.picture, model, args.tile, args.tile, verbose=0)
    result.export_visuals(args.out_dir, file_name='tiled')
    for thing in result.object_prediction_list:
        print(thing.category.name, round(float(thing.score.value), 3), [round(side) for side in thing.bbox.to_xyxy()])


if __name__ == '__main__':
    main()
