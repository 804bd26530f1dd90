"""Export a trained model to files for other engines, and show that they give the same.

    python tools/export.py --weights CHECKPOINT                              (ONNX, float32, any batch)
    python tools/export.py --model quickstart --format onnx openvino --config configs/quickstart.py --verify 150
    python tools/export.py --weights CHECKPOINT --precision int8 --calibrate photos/
"""
import command


def parse_args():
    made = command.parser(__doc__)
    model = made.add_argument_group('model')
    which = model.add_mutually_exclusive_group()
    which.add_argument('--weights', metavar='CHECKPOINT',
                       help='checkpoint, a name of published weights, or the work directory of a training')
    which.add_argument('--model', metavar='NAME',
                       help='what was trained in work_dirs/NAME (default: the built-in detector)')
    model.add_argument('--config', help='configuration with the data for --verify and int8 (default: without it, the '
                                        'network that the checkpoint describes)')
    model.add_argument('--trust', action='store_true',
                       help='run the configuration in a checkpoint that has it only as code: know who made the file')
    command.add_overrides(model)
    files = made.add_argument_group('files')
    files.add_argument('--format', nargs='+', default=['onnx'], metavar='F',
                       choices=['onnx', 'openvino', 'ncnn', 'pt2', 'aotinductor'],
                       help='onnx, openvino, ncnn, pt2 (torch.export) or aotinductor (default: onnx)')
    files.add_argument('--precision', nargs='+', default=['float32'], metavar='P',
                       choices=['float32', 'float16', 'int8'], help='float32, float16 or int8 (default: float32)')
    files.add_argument('--raw', action='store_true',
                       help='give what the layers compute: logits, or all boxes before suppression')
    files.add_argument('--out-dir', default='exported', metavar='DIR', help='where the files go')
    data = made.add_argument_group('data')
    data.add_argument('--data', metavar='DIR', help="data of your own in place of the configuration's (docs/data.md)")
    data.add_argument('--verify', type=int, default=0, metavar='N',
                      help="measure the metric on N images of the configuration's test data, before and after")
    data.add_argument('--calibrate', metavar='DIR',
                      help='pictures to set the ranges of int8 by (default: training images of the configuration)')
    data.add_argument('--calibration-images', type=int, default=128, metavar='N', help='how many')
    data.add_argument('--timing', action='store_true', help='measure the time an image takes, beside PyTorch')
    return made.parse_args()


def run(args):
    from dicenet_mm.apis.export import ExportOptions, export_model

    export_model(command.options(ExportOptions, args))


if __name__ == '__main__':
    command.main(run, parse_args)
