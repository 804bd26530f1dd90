"""List published weights, and fetch them ahead of time.

    python tools/models.py
    python tools/models.py coco
    python tools/models.py 'edgenets/dicenet-*-voc-*' --json
    python tools/models.py edgenets/espnetv2-2.0-coco-300 --fetch

A name is taken wherever a checkpoint is: `demo.py --model NAME`, `test.py CONFIG NAME`, `load_from=NAME` and so on.
"""
import command


def parse_args():
    made = command.parser(__doc__)
    made.add_argument('pattern', nargs='?', metavar='NAME', help='a name, a part of one, or a pattern with * in it')
    made.add_argument('--fetch', action='store_true', help='fetch the weights, for use without a network')
    made.add_argument('--json', action='store_true', help='print JSON, with everything that is known')
    return made.parse_args()


def run(args):
    import json
    from dataclasses import asdict

    from dicenet_mm.errors import UserError
    from dicenet_mm.paths import typed
    from dicenet_mm.zoo import cache_folder, fetch_weights, matching, table, weights_file

    models = matching(args.pattern)
    if not models:
        raise UserError(f'there are no published weights whose name contains or matches {args.pattern}: '
                        f'"{typed("models")}" lists all')
    if args.fetch:
        for model in models:
            print(f'{model.name}: {fetch_weights(model)}')
    elif args.json:
        print(json.dumps([dict(asdict(model), file=str(weights_file(model)), fetched=weights_file(model).is_file())
                          for model in models], indent=1))
    else:
        print(f'{table(models)}\n\n*: on this machine. Weights are fetched into {cache_folder()} when they are first '
              'used (DICENET_MM_CACHE names another folder).')


if __name__ == '__main__':
    command.main(run, parse_args)
