"""How a training step is taken, as a value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class StepOptions:
    """How ``Trainer.train_step`` moves the weights.

    Attributes:
        amp_dtype: autocast type, or None for full precision.
        accumulate: parts that a batch is computed in, one after the other; its clips are a multiple of it.
        clip_grad_value, clip_grad_norm: limits of every gradient and of their L2 norm; None for none.
        loss_explosion_factor: stop when the loss exceeds this many times the mean of the five before it; 0 for never.
        freeze_bn: batch norms keep their running statistics (their scale and shift still learn).
        ema_decay: of the average of the weights, which is evaluated and saved beside them; 0 for none.
        memory_advice: says what to change when a step does not fit into memory; or None.
    """

    amp_dtype: torch.dtype | None = None
    accumulate: int = 1
    clip_grad_value: float | None = None
    clip_grad_norm: float | None = None
    loss_explosion_factor: float = 0.0
    freeze_bn: bool = False
    ema_decay: float = 0.0
    memory_advice: Callable[[], str] | None = None

    @property
    def clips_gradients(self) -> bool:
        """Whether gradients have a limit."""
        return self.clip_grad_value is not None or self.clip_grad_norm is not None

    def clip_gradients(self, model: nn.Module) -> None:
        """Bring the gradients of ``model``, which are not scaled, within the limits."""
        if self.clip_grad_value is not None:
            nn.utils.clip_grad_value_(model.parameters(), self.clip_grad_value)
        if self.clip_grad_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), self.clip_grad_norm)
