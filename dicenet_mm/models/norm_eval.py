"""Models whose batch normalisation may keep its running statistics in training."""
from torch.nn.modules.batchnorm import _BatchNorm


class NormEval:
    """For a model (stand before its base): with ``norm_eval``, batch normalisation stays in evaluation mode.

    Attributes:
        norm_eval: Set by the model.
    """
    norm_eval = False

    def train(self, mode: bool = True):
        super().train(mode)
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self
