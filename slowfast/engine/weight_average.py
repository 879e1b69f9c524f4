"""The average of a model's weights over its latest steps: less noisy than the weights themselves."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

NAME = "ema"  # among the states of a checkpoint, and in front of its figures


class WeightAverage:
    """An exponential moving average of ``model``, weights and running statistics, as a model of its own in eval mode.

    After step n, average = d * average + (1 - d) * model with d = min(decay, (1 + n) / (10 + n)): the first steps of a
    training, far from where it ends, are forgotten soon (as in TensorFlow's ExponentialMovingAverage).

    Args:
        decay: in [0, 1); 0.9999 averages over about 10,000 steps.
    """

    def __init__(self, model: nn.Module, decay: float):
        # Process groups cannot be copied.
        groups = [m.process_group for m in model.modules() if isinstance(m, nn.SyncBatchNorm)]
        self.model = copy.deepcopy(model, {id(group): group for group in groups}).requires_grad_(False).eval()
        self.decay = decay
        self.num_updates = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Update the average with the weights of ``model`` after a step."""
        self.num_updates += 1
        decay = min(self.decay, (1 + self.num_updates) / (10 + self.num_updates))
        pairs = list(zip(_tensors(self.model), _tensors(model), strict=True))
        floats = [pair for pair in pairs if pair[0].is_floating_point()]
        torch._foreach_lerp_([own for own, _ in floats], [new for _, new in floats], 1 - decay)
        for own, new in pairs:
            if not own.is_floating_point():  # numbers of batches
                own.copy_(new)

    def imitate_mode(self, model: nn.Module) -> None:
        """Put every module into the mode, training or not, of its counterpart in ``model``."""
        for own, other in zip(self.model.modules(), model.modules(), strict=True):
            own.training = other.training

    def state_dict(self) -> dict[str, Any]:
        return {"decay": self.decay, "num_updates": self.num_updates, "model_state": self.model.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.num_updates = state["num_updates"]
        self.model.load_state_dict(state["model_state"])


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]
