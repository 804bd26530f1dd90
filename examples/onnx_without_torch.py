"""Run a file that tools/export.py has written, with numpy, Pillow and onnxruntime alone.

    pip install numpy pillow onnxruntime
    python onnx_without_torch.py model.onnx photo.jpg

The file says by itself how a picture becomes its input and what its outputs mean.
"""
import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def prepare(picture: Image.Image, meta: dict) -> np.ndarray:
    """A picture -> the network's input (1, 3, H, W), float32."""
    image = np.asarray(ImageOps.exif_transpose(picture).convert('RGB'))
    for step in meta['steps']:
        height, width = image.shape[:2]
        if 'resize' in step:
            image = resize(image, *step['resize'], step['filter'])
        elif 'resize_inside' in step:
            long, short = max(step['resize_inside']), min(step['resize_inside'])
            scale = min(long / max(height, width), short / min(height, width))
            image = resize(image, int(width * scale + 0.5), int(height * scale + 0.5), step['filter'])
        elif 'resize_short_side' in step:
            short, side = min(height, width), step['resize_short_side']
            image = resize(image, int(side * width / short), int(side * height / short), step['filter'])
        elif 'center_crop' in step:
            w, h = step['center_crop']
            top, left = max(0, round((height - h) / 2)), max(0, round((width - w) / 2))
            image = image[top:top + h, left:left + w]
        elif 'pad' in step:
            value = np.broadcast_to(step['value'], 3)[::-1]  # the file has it in BGR
            padded = np.empty((*step['pad'][::-1], 3), np.uint8)
            padded[:] = value
            padded[:height, :width] = image
            image = padded
    channels = image if meta['color'] == 'RGB' else image[..., ::-1]
    normalised = (channels - np.array(meta['mean'], np.float32)) / np.array(meta['std'], np.float32)
    return np.ascontiguousarray(normalised.transpose(2, 0, 1)[None].astype(np.float32))


def resize(image: np.ndarray, width: int, height: int, kind: str) -> np.ndarray:
    """(H, W, 3) uint8 -> (height, width, 3) uint8; "bilinear" does not smooth as it shrinks, "antialiased" does."""
    if kind == 'antialiased':
        return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
    result = image.astype(np.float32)
    for axis, size in ((0, height), (1, width)):
        extent = result.shape[axis]
        place = np.clip((np.arange(size) + 0.5) * extent / size - 0.5, 0, extent - 1)
        low = np.floor(place).astype(int)
        share = (place - low).astype(np.float32).reshape([-1 if i == axis else 1 for i in range(3)])
        high = np.minimum(low + 1, extent - 1)
        result = result.take(low, axis) * (1 - share) + result.take(high, axis) * share
    return (result + 0.5).astype(np.uint8)


def describe(outputs: dict[str, np.ndarray], meta: dict, size: tuple[int, int], threshold: float = 0.3) -> list[str]:
    """What the outputs of one picture of a size (width, height) say, in words."""
    classes = meta['classes']
    if set(outputs) == {'boxes', 'scores', 'labels'}:
        scale = _scale(meta, size)
        return [f'{classes[label]} {score:.2f} at {np.round(box / scale).astype(int).tolist()}'
                for box, score, label in zip(*(outputs[name][0] for name in ('boxes', 'scores', 'labels')))
                if score >= threshold]
    if set(outputs) == {'labels'}:
        labels, counts = np.unique(outputs['labels'], return_counts=True)
        shares = 100 * counts / counts.sum()
        return [f'{classes[labels[i]]} {shares[i]:.1f} % of the pixels' for i in np.argsort(-counts)]
    if set(outputs) == {'scores'}:
        best = np.argsort(-outputs['scores'][0])[:5]
        return [f'{classes[label]} {outputs["scores"][0, label]:.2f}' for label in best]
    return [f'{name} {value.shape}' for name, value in outputs.items()]  # exported with --raw


def _scale(meta: dict, size: tuple[int, int]) -> np.ndarray:
    """How much larger a side is in the prepared image: (4,), for x1, y1, x2, y2."""
    step = next(step for step in meta['steps'] if 'resize' in step or 'resize_inside' in step)
    if 'resize' in step:
        return np.tile(np.array(step['resize']) / size, 2)
    long, short = max(step['resize_inside']), min(step['resize_inside'])
    return np.full(4, min(long / max(size), short / min(size)))


def main(file: str, *pictures: str) -> None:
    session = onnxruntime.InferenceSession(file, providers=['CPUExecutionProvider'])
    meta = json.loads(session.get_modelmeta().custom_metadata_map['dicenet_mm'])
    for name in pictures:
        picture = ImageOps.exif_transpose(Image.open(name))
        outputs = dict(zip(meta['outputs'], session.run(None, {'images': prepare(picture, meta)})))
        print(f'{name}: {"; ".join(describe(outputs, meta, picture.size)) or "nothing found"}')


if __name__ == '__main__':
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
