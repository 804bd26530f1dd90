"""Convert a checkpoint of the paper's authors (EdgeNets).

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
    from dicenet_mm.edgenets import convert_dicenet

    checkpoint = read_checkpoint(args.source)
    weights, meta = convert_dicenet(checkpoint.get('state_dict', checkpoint))
    Path(args.target).parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(state_dict=weights, meta=dict(meta, source=Path(args.source).name)), args.target)
    print(f'{args.target}: DiCENet with widen_factor={meta["widen_factor"]}, input_size={meta["input_size"]}, '
          f'{len(weights)} tensors' + (f'; left out: {", ".join(meta["left_out"])}' if meta['left_out'] else ''))


if __name__ == '__main__':
    command.main(run, parse_args)
