"""Priors clipped to the image, against loops."""
import pytest
import torch
from mmengine.registry import TASK_UTILS, init_default_scope


@pytest.mark.parametrize('size,side,stride,low,high', [(300, 10, 32, 125, 172), (300, 1, 300, 267, 315),
                                                       (512, 4, 128, 376, 457), (64, 3, 24, 5, 9)])
def test_against_loops(size, side, stride, low, high):
    init_default_scope('mmdet')
    generator = TASK_UTILS.build(dict(
        type='ClippedSSDAnchorGenerator', input_size=size, scale_major=False, strides=[stride], ratios=[[2, 3]],
        min_sizes=[low], max_sizes=[high]))
    expected = []
    for row in range(side):
        for column in range(side):
            shapes = [(low, low), ((low * high)**0.5,) * 2]
            for ratio in (2, 3):
                shapes += [(low * ratio**0.5, low / ratio**0.5), (low / ratio**0.5, low * ratio**0.5)]
            for width, height in shapes:
                x, y = min((column + 0.5) * stride, size), min((row + 0.5) * stride, size)
                width, height = min(width, size), min(height, size)
                expected.append([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
    priors, = generator.grid_priors([(side, side)], device='cpu')
    torch.testing.assert_close(priors, torch.tensor(expected), rtol=0, atol=1e-3)
