"""Convert a checkpoint of the paper's authors (EdgeNets).

A segmentation or ImageNet checkpoint becomes one that the other commands take as it is:

    python tools/convert_edgenets.py espnetv2_s_2.0_pascal_384x384.pth espnetv2_2.0_voc.pth
    python tools/demo.py photo.jpg --weights espnetv2_2.0_voc.pth

Its encoder can start any other training:

    python tools/convert_edgenets.py dicenet_s_1.0_pascal_256x256.pth dicenet_1.0.pth
    python tools/train.py CONFIG --cfg-options model.backbone.widen_factor=1.0 \\
        model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.prefix=backbone. \\
        model.backbone.init_cfg.checkpoint=dicenet_1.0.pth
"""
import command


def parse_args():
    made = command.parser(__doc__)
    made.add_argument('source', metavar='SRC', help="the authors' file")
    made.add_argument('target', metavar='DST', help='where to write')
    return made.parse_args()


def run(args):
    import re
    from pathlib import Path

    import torch

    from dicenet_mm.apis import load_config, read_checkpoint
    from dicenet_mm.datasets import CityscapesSegDataset, ImageNetFolders, VOCSegDataset
    from dicenet_mm.edgenets import convert_edgenets

    checkpoint, source = read_checkpoint(args.source), Path(args.source).name
    weights, meta = convert_edgenets(checkpoint.get('state_dict', checkpoint))
    backbone = meta['backbone']
    network = ', '.join(f'{key}={value}' for key, value in backbone.items() if key != 'type')
    said, name, data = [f'{backbone["type"]} with {network}'], backbone['type'].lower(), None
    if 'head.fc.weight' in weights:
        if meta['num_classes'] == 1000:
            data = ImageNetFolders
            config = f'configs/{"" if name == "dicenet" else "baselines/"}{name}_imagenet_e150_b512.py'
    elif meta['num_classes'] in (20, 21):  # the size is nowhere but in the name of the file
        data, suffix, sizes = {21: (VOCSegDataset, 'voc12aug', ('256', '384')),
                               20: (CityscapesSegDataset, 'cityscapes', ('512x256', '1024x512'))}[meta['num_classes']]
        size = next((size for size in sizes if re.search(rf'(?<!\d){size}(?!\d)', source)), sizes[0])
        config = f'configs/espnetv2_{name}_{size}_{suffix}.py'
    if data:
        cfg = load_config(str(Path(__file__).parents[1] / config), {
            f'model.backbone.{key}': value for key, value in backbone.items()})
        meta.update(cfg=cfg.pretty_text, dataset_meta=data.METAINFO)
        said.append(f'for {config}')
    said.append(f'{len(weights)} tensors')
    Path(args.target).parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(state_dict=weights, meta=dict(meta, source=source)), args.target)
    print(f'{args.target}: {", ".join(said)}' + (f'; left out: {", ".join(meta["left_out"])}' if meta['left_out']
                                                 else ''))


if __name__ == '__main__':
    command.main(run, parse_args)
