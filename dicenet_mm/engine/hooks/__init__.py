from .plain_checkpoint import PlainCheckpointHook, WholeFileBackend

__all__ = ['PlainCheckpointHook', 'WholeFileBackend']
