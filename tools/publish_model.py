"""Make a checkpoint small and fit to hand on: safetensors, half precision, the weights and what they are of.

    python tools/publish_model.py work_dirs/mine/iter_1000.pth mine
    python tools/demo.py photo.jpg --weights mine-1a2b3c4d.safetensors

The file's name ends with the beginning of its SHA-256, which is checked whenever it is read.
"""
import command


def parse_args():
    made = command.parser(__doc__)
    made.add_argument('checkpoint', help='checkpoint that tools/train.py has written, or a name of published weights')
    made.add_argument('name', help='the file to write, without the end of its name')
    made.add_argument('--config', help='configuration file, where the checkpoint does not describe its network')
    made.add_argument('--full', action='store_true', help='keep all weights in float32')
    return made.parse_args()


def run(args):
    from pathlib import Path

    from dicenet_mm.apis import load_config
    from dicenet_mm.checkpoint import Network, publish, read_checkpoint

    checkpoint = read_checkpoint(args.checkpoint)
    if args.config:
        checkpoint.setdefault('meta', {})['network'] = Network.from_config(load_config(args.config)).plain()
    file = publish(checkpoint, Path(args.name), half=not args.full)
    print(f'{file}: {file.stat().st_size} bytes')


if __name__ == '__main__':
    command.main(run, parse_args)
