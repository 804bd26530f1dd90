# The paper fine-tunes from ImageNet weights and gives no rate or length: batch 128, a rate of 0.01 in the hybrid
# schedule and 100 epochs are our choice.
train_cfg = dict(type='ExactEpochLoop', max_epochs=100, val_interval=5)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=4e-5))
param_scheduler = [dict(type='HybridLR')]  # ends with the training
auto_scale_lr = dict(enable=False, base_batch_size=128)
