_base_ = './ssd_espnetv2_300.py'

image_size = 512
box_sides = [int(52 + (538 - 52) * level / 6) for level in range(7)]
model = dict(
    norm_eval=True,  # the second stage trains with frozen batch normalisation
    bbox_head=dict(
        anchor_generator=dict(
            input_size=image_size,
            strides=[8, 16, 32, 64, 128, 512],
            min_sizes=box_sides[:-1],
            max_sizes=box_sides[1:])))
