custom_imports = dict(imports=['dicenet_mm'], allow_failed_imports=False)

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='PlainCheckpointHook', interval=1, max_keep_ckpts=3, save_best='auto'),
    sampler_seed=dict(type='DistSamplerSeedHook'))
custom_hooks = [
    dict(type='SplitBatchHook'), dict(type='InvalidLossHook'), dict(type='CurvesHook'), dict(type='MetricsTableHook'),
    dict(type='ProgressBarHook'), dict(type='StopHook')]

env_cfg = dict(
    cudnn_benchmark=True,  # every image has the same size
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=True)
log_level = 'INFO'
load_from = None
resume = False
