# Section 5.2: as at 300 px, from its weights, with batch 60 = 20 images x 3 accumulated steps on one process.
_base_ = './ssd_300.py'

optim_wrapper = dict(optimizer=dict(lr=0.005), accumulative_counts=3)
auto_scale_lr = dict(base_batch_size=60)
