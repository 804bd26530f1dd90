"""Convert a checkpoint of the paper's authors (EdgeNets).

A detection, segmentation or ImageNet checkpoint becomes one that the other commands take as it is:

    python tools/convert_edgenets.py espnetv2_s_2.0_coco_300x300.pth espnetv2_ssd.pth
    python tools/demo.py photo.jpg --weights espnetv2_ssd.pth

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
    from pathlib import Path

    import torch

    from dicenet_mm.apis import read_checkpoint
    from dicenet_mm.zoo import edgenets_checkpoint

    checkpoint = edgenets_checkpoint(read_checkpoint(args.source), Path(args.source).name)
    Path(args.target).parent.mkdir(parents=True, exist_ok=True)
    torch.save(checkpoint, args.target)
    meta = checkpoint['meta']
    network = ', '.join(f'{key}={value}' for key, value in meta['backbone'].items() if key != 'type')
    said = [f'{meta["backbone"]["type"]} with {network}', *([f'for {meta["config"]}'] if 'config' in meta else []),
            f'{len(checkpoint["state_dict"])} tensors']
    print(f'{args.target}: {", ".join(said)}' + (f'; left out: {", ".join(meta["left_out"])}' if meta['left_out']
                                                 else ''))


if __name__ == '__main__':
    command.main(run, parse_args)
