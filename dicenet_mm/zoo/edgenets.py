"""The authors' checkpoints as whole ones of ours, with the configuration and the class names."""
import re

from mmdet.datasets import CocoDataset, VOCDataset
from mmengine.config import Config

from dicenet_mm.checkpoint import Network
from dicenet_mm.datasets import CityscapesSegDataset, ImageNetFolders, VOCSegDataset
from dicenet_mm.edgenets import convert_edgenets
from dicenet_mm.paths import config_file

# By task and number of classes: the configuration, with the sizes there are, and what names the classes.
_CONFIGS = {
    ('classification', 1000): ('{net}_imagenet_e150_b512.py', [''], ImageNetFolders),
    ('segmentation', 20): ('espnetv2_{net}_{size}_cityscapes.py', ['512x256', '1024x512'], CityscapesSegDataset),
    ('segmentation', 21): ('espnetv2_{net}_{size}_voc12aug.py', ['256', '384'], VOCSegDataset),
    ('detection', 20): ('ssd_{net}_{size}_voc0712.py', ['300', '512'], VOCDataset),
    ('detection', 80): ('ssd_{net}_{size}_coco.py', ['300', '512'], CocoDataset),
}
_BASELINES = {'espnetv2_imagenet_e150_b512.py'}


def edgenets_checkpoint(checkpoint: dict, source: str) -> dict:
    """A checkpoint of the authors converted (see :func:`dicenet_mm.edgenets.convert_edgenets`).

    Args:
        checkpoint: The file as loaded.
        source: Its name, in which alone the size of the images stands.

    Returns:
        ``dict(state_dict=weights, meta=...)``, where ``meta`` is what was recognised, ``source`` and, where there is a
        configuration for it, the network that it describes (``network``, ``config`` its file) and the class names
        (``dataset_meta``).

    Raises:
        UserError: If it is none of the authors'.
    """
    weights, meta = convert_edgenets(checkpoint.get('state_dict', checkpoint))
    backbone, known = meta['backbone'], _CONFIGS.get((meta['task'], meta['num_classes']))
    if known:
        pattern, sizes, data = known
        size = next((size for size in sizes if re.search(rf'(?<!\d){size}(?!\d)', source)), sizes[0])
        name = pattern.format(net=backbone['type'].lower(), size=size)
        name = f'baselines/{name}' if name in _BASELINES else name
        options = {f'model.backbone.{key}': value for key, value in backbone.items()}
        cfg = Config.fromfile(config_file(name))
        cfg.merge_from_dict(options)
        network = Network.from_config(cfg)
        meta.update(config=f'configs/{name}', network=network.plain(), dataset_meta=data.METAINFO)
    return dict(state_dict=weights, meta=dict(meta, source=source))
