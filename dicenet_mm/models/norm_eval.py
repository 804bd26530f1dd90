"""Batch normalisation that does not train, for backbones and whole models alike."""
from torch.nn.modules.batchnorm import _BatchNorm


class NormEval:
    """Mix-in of a module, named before its base: with ``norm_eval``, training mode leaves batch normalisation out."""

    #: Whether every batch normalisation inside keeps its running statistics in training.
    norm_eval: bool

    def train(self, mode: bool = True):
        super().train(mode)
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self
