# Section 5.3: as in the first stage, from its weights, with batch 32.
_base_ = './segmentation_first.py'

optim_wrapper = dict(optimizer=dict(lr=0.005))
auto_scale_lr = dict(base_batch_size=32)
