# E300-B2048 (Table IV): as E150-B512, for 300 epochs, with label smoothing and a moving average of the weights.
# Batch 2048 = 128 images x 4 processes x 4 accumulated steps; on one process: optim_wrapper.accumulative_counts=16
# The paper gives no values for rate, smoothing and decay. Ours are 0.4 (four times that of a quarter of the batch), 0.1
# and 0.9999.
_base_ = './dicenet_imagenet_e150_b512.py'

model = dict(head=dict(loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1)))
train_cfg = dict(max_epochs=300)
optim_wrapper = dict(optimizer=dict(lr=0.4), accumulative_counts=4)
auto_scale_lr = dict(base_batch_size=2048)
# Momentum is 1 - 0.9999. The running statistics of batch normalisation are averaged with the weights they belong to.
custom_hooks = [*_base_.custom_hooks, dict(type='UpdateEMAHook', momentum=1e-4, update_buffers=True)]
