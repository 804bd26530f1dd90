"""What an exported file says of itself: enough for a program that has only the file and a picture."""
from collections.abc import Sequence

from dicenet_mm.checkpoint import Network
from dicenet_mm.errors import UserError

from .network import ExportedNetwork


def metadata(network: ExportedNetwork, described: Network, dataset_meta: dict, size: tuple[int, int]) -> dict:
    """Task, classes, and how a picture becomes the input.

    Args:
        network: What is exported.
        described: The model and what its images go through.
        dataset_meta: ``classes``, and ``palette`` where there is one.
        size: Height and width of the prepared images, px.

    Returns:
        Plain data: ``task``, ``outputs``, ``classes``, ``palette`` or None, ``color`` (order of the channels),
        ``mean`` and ``std`` (0 to 255), ``steps`` (see :func:`steps`), ``height`` and ``width``.

    Raises:
        UserError: If the test pipeline has a step that is not known here.
    """
    prepared = described.model.get('data_preprocessor') or {}
    rgb = prepared.get('bgr_to_rgb') or prepared.get('to_rgb')
    palette = dataset_meta.get('palette')
    return dict(
        task=network.task, outputs=list(network.outputs), classes=list(dataset_meta['classes']),
        palette=[list(map(int, colour)) for colour in palette] if isinstance(palette, Sequence | tuple) else None,
        color='RGB' if rgb else 'BGR', mean=list(prepared.get('mean') or [0.] * 3),
        std=list(prepared.get('std') or [1.] * 3), steps=steps(described.pipeline),
        height=size[0], width=size[1])


def steps(pipeline: Sequence[dict]) -> list[dict]:
    """The steps of a test pipeline that change the picture, in order.

    Returns:
        Of ``{'resize': [width, height], 'filter': name}``, ``{'resize_inside': [width, height], 'filter': name}``
        (keeping the proportions), ``{'resize_short_side': px, 'filter': name}``, ``{'center_crop': [width, height]}``
        and ``{'pad': [width, height], 'value': of a pixel}`` (to the right and below). The filter is ``antialiased``
        (Pillow's bilinear) or ``bilinear`` (OpenCV's, which does not smooth as it shrinks).

    Raises:
        UserError: If there is another one.
    """
    found: list[dict[str, object]] = []
    for step in pipeline:
        kind = step['type'].split('.')[-1]
        smooth = 'antialiased' if step.get('backend') == 'pillow' else 'bilinear'
        if kind == 'Resize' and step.get('scale'):
            found.append({'resize_inside' if step.get('keep_ratio') else 'resize': _pair(step['scale']),
                          'filter': smooth})
        elif kind == 'ResizeEdge' and step.get('edge', 'short') == 'short':
            found.append(dict(resize_short_side=step['scale'], filter=smooth))
        elif kind == 'CenterCrop':
            found.append(dict(center_crop=_pair(step['crop_size'])))
        elif kind == 'Pad' and step.get('size'):
            value = step.get('pad_val', 0)
            value = value.get('img', 0) if isinstance(value, dict) else value
            found.append(dict(pad=_pair(step['size']), value=value if isinstance(value, int | float) else list(value)))
        elif not kind.startswith(('Load', 'Pack')):
            raise UserError(f'the test pipeline has {kind}, for which an exported file has no words: take Resize, '
                            'ResizeEdge, CenterCrop and Pad with a fixed size')
    return found


def _pair(size) -> list[int]:
    """(width, height)."""
    return [size, size] if isinstance(size, int) else list(size)
