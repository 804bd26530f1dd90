_base_ = './ssd_dicenet_300.py'

image_size = 320
box_sides = [image_size * (0.1 + 0.95 * level / 6) for level in range(7)]
model = dict(
    bbox_head=dict(
        anchor_generator=dict(
            strides=[8, 16, 32, 64, 107, 320], min_sizes=box_sides[:-1], max_sizes=box_sides[1:])))
