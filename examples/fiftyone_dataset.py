"""Browse what a model finds in a folder of pictures with FiftyOne.

    pip install fiftyone
    python examples/fiftyone_dataset.py photos/
"""
import argparse

import fiftyone as fo

from dicenet_mm.apis import Inferencer


def detections(entry: dict) -> fo.Detections:
    """What :meth:`Inferencer.__call__` gives of an image, with boxes as shares of its sides."""
    width, height = entry['width'], entry['height']
    return fo.Detections(detections=[
        fo.Detection(label=thing['label'], confidence=thing['score'],
                     bounding_box=[x1 / width, y1 / height, (x2 - x1) / width, (y2 - y1) / height])
        for thing in entry['detections'] for x1, y1, x2, y2 in [thing['bbox']]])


def main():
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument('folder')
    made.add_argument('--weights', help='checkpoint (default: the built-in detector)')
    made.add_argument('--no-app', action='store_true', help='do not open the browser')
    args = made.parse_args()
    dataset = fo.Dataset()
    for entry in Inferencer(args.weights)(args.folder, batch_size=8)['predictions']:
        dataset.add_sample(fo.Sample(filepath=entry['input'], found=detections(entry)))
    print(dataset.count('found.detections'), 'things in', len(dataset), 'pictures')
    if not args.no_app:
        fo.launch_app(dataset).wait()


if __name__ == '__main__':
    main()
