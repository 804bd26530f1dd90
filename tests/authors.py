"""Parameter names of the authors' DiCE unit, for tests that compare with their outputs."""
import torch


def unit_state(state, prefix=''):
    """Our DiCEUnit's state dict from the authors' keys: [depth | height | width] blocks, width kernel as (H, D)."""
    def of(key):
        return torch.as_tensor(state[f'{prefix}{key}'])

    def interleave(value):
        return value.reshape(3, -1).t().reshape(-1)

    out = {
        'dim_conv.depth_weight': of('conv_channel.weight')[:, 0],
        'dim_conv.height_weight': of('conv_height.weight')[:, 0],
        'dim_conv.width_weight': of('conv_width.weight')[:, 0].transpose(1, 2),
        'act.weight': interleave(of('br_act.br.1.weight')),
    }
    for key in ('weight', 'bias', 'running_mean', 'running_var'):
        if f'{prefix}br_act.br.0.{key}' in state:
            out[f'norm.{key}'] = interleave(of(f'br_act.br.0.{key}'))
    for ours, theirs in (('local', 'weight_avg_layer.cbr'), ('spatial', 'proj_layer.cbr')):
        for key in ('0.weight', '1.weight', '1.bias', '1.running_mean', '1.running_var', '2.weight'):
            if f'{prefix}{theirs}.{key}' in state:
                out[f'dim_fuse.{ours}.{key}'] = of(f'{theirs}.{key}')
    for key in ('1.weight', '3.weight'):
        out[f'dim_fuse.gate.{key}'] = of(f'linear_comb_layer.{key}')
    return out
