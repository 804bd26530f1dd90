"""Layers by their definitions, in float64 and NumPy loops, on one image (C, H, W): the oracle of several tests."""
import numpy as np
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def conv(x, weight, bias=None, stride=1, dilation=1, groups=1):
    """Zero-padded to the same size."""
    weight = weight.detach().double().numpy()
    outputs, inputs, side, _ = weight.shape
    margin = dilation * (side // 2)
    padded = np.pad(x, ((0, 0), (margin, margin), (margin, margin)))
    height, width = (-(-extent // stride) for extent in x.shape[1:])
    y = np.zeros((outputs, height, width))
    for o in range(outputs):
        first = o // (outputs // groups) * inputs
        for i in range(inputs):
            for a in range(side):
                for b in range(side):
                    rows = padded[first + i, a * dilation:a * dilation + stride * (height - 1) + 1:stride]
                    y[o] += weight[o, i, a, b] * rows[:, b * dilation:b * dilation + stride * (width - 1) + 1:stride]
        if bias is not None:
            y[o] += bias[o].item()
    return y


def batch_norm(x, norm):
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    shift = norm.bias - norm.running_mean * scale
    return x * scale.detach().numpy()[:, None, None] + shift.detach().numpy()[:, None, None]


def prelu(x, act):
    return np.where(x >= 0, x, x * act.weight.detach().numpy()[:, None, None])


def average_pool(x):
    """3x3, stride 2, padded with zeros that count."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    height, width = ((extent + 1) // 2 for extent in x.shape[1:])
    return np.stack([[[padded[c, 2 * i:2 * i + 3, 2 * j:2 * j + 3].sum() / 9 for j in range(width)]
                      for i in range(height)] for c in range(len(x))])


def resize_line(line, size):
    """One axis: linear between aligned ends where it grows, averages of overlapping bins where it shrinks."""
    length = len(line)
    if size == length:
        return list(line)
    if size > length:
        out = []
        for i in range(size):
            at = i * (length - 1) / (size - 1)
            low = min(int(at), length - 1)
            high = min(low + 1, length - 1)
            out.append(line[low] + (at - low) * (line[high] - line[low]))
        return out
    return [np.mean(line[i * length // size:-(-(i + 1) * length // size)]) for i in range(size)]


def resize(x, size):
    rows = np.array([[resize_line(row, size[1]) for row in plane] for plane in x])
    return np.array([np.transpose([resize_line(column, size[0]) for column in plane.T]) for plane in rows])


def randomised(model):
    """In evaluation mode, normalisation and slopes away from where they start, so that a wrong fold or order shows."""
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            if module.affine:
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, std=0.2)
            if module.track_running_stats:
                nn.init.normal_(module.running_mean, std=0.2)
                nn.init.uniform_(module.running_var, 0.5, 2)
        elif isinstance(module, nn.PReLU):
            nn.init.uniform_(module.weight, -0.5, 1.2)
    return model.eval()
