"""SGD with a separate learning rate for every tensor."""

from __future__ import annotations

from collections.abc import Callable

import torch


class LARS(torch.optim.SGD):
    """Layer-wise adaptive rate scaling (You, Gitman and Ginsburg, 2017, arXiv 1708.03888, algorithm 1), over SGD.

    The gradient of a tensor w, with its weight decay, is multiplied by trust * |w| / (|g| + decay * |w|) before it
    enters the momentum, so that every tensor moves by a similar fraction of itself. Vectors (biases, scales and shifts
    of normalizations) keep the plain rate, as in the large-batch recipes that followed the paper.

    Args:
        trust: the paper's eta; PySlowFast's 0.001.
        options: of ``torch.optim.SGD``.
    """

    def __init__(self, params, *, trust: float = 0.001, **options):
        super().__init__(params, **options)
        self.trust = trust

    @torch.no_grad()
    def step(self, closure: Callable | None = None):
        """One step; it overwrites the gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and parameter.ndim > 1:
                    self._scale(parameter, parameter.grad, group["weight_decay"])
        super().step()
        return loss

    def _scale(self, parameter: torch.Tensor, grad: torch.Tensor, decay: float) -> None:
        """Change the gradient so that SGD, which adds the weight decay, gets the scaled sum of both."""
        size, gradient = parameter.norm(), grad.norm()
        ratio = self.trust * size / (gradient + decay * size)
        # Tensors of zeros, or without gradient, move as in SGD. No branch: it would wait for the GPU.
        ratio = torch.where((size > 0) & (gradient > 0), ratio, torch.ones_like(ratio))
        grad.add_(parameter, alpha=decay).mul_(ratio).sub_(parameter, alpha=decay)
