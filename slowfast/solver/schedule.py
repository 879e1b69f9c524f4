"""Learning rate as a pure function of the fractional epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from slowfast.solver.multigrid import ShapeSchedule, long_cycle_rates

POLICIES = ("cosine", "steps_with_relative_lrs")


@dataclass(frozen=True)
class LearningRateSchedule:
    """``schedule(epoch)`` is the learning rate at a fractional epoch, >= 0.

    Before ``warmup_epochs`` it rises linearly from ``warmup_start_lr`` to the policy's value at ``warmup_epochs``
    (Goyal et al., 2017); from there on it is the policy's:

    - "cosine" (Loshchilov & Hutter, 2017): from base_lr at epoch 0 to end_lr at max_epoch. It is not shifted by the
      warm-up, unless ``cosine_after_warmup``, which begins the half period at its end.
    - "steps_with_relative_lrs": base_lr * lrs[i], i the last with steps[i] <= epoch.

    Attributes:
        steps: epochs, ascending, the first 0.
        lrs: factors, at least one a step.
    """

    base_lr: float
    max_epoch: float
    policy: str = "cosine"
    warmup_epochs: float = 0.0
    warmup_start_lr: float = 0.01
    end_lr: float = 0.0
    cosine_after_warmup: bool = False
    steps: Sequence[float] = field(default=())
    lrs: Sequence[float] = field(default=())

    def __post_init__(self):
        if self.policy not in POLICIES:
            raise ValueError(f"SOLVER.LR_POLICY={self.policy!r} is not one of {', '.join(POLICIES)}.")
        if self.policy == "steps_with_relative_lrs":
            self._check_steps()
        if self.end_lr >= self.base_lr and self.policy == "cosine":
            raise ValueError(f"SOLVER.COSINE_END_LR={self.end_lr} must lie below SOLVER.BASE_LR={self.base_lr}.")

    def _check_steps(self) -> None:
        if not self.steps or self.steps[0] != 0 or list(self.steps) != sorted(self.steps):
            raise ValueError(f"SOLVER.STEPS={list(self.steps)} must ascend from 0, the epoch of the first rate.")
        if len(self.lrs) < len(self.steps):
            raise ValueError(f"SOLVER.LRS={list(self.lrs)} needs a factor for each of SOLVER.STEPS={list(self.steps)}.")

    @classmethod
    def from_config(cls, cfg) -> LearningRateSchedule:
        """The schedule of the config's SOLVER keys, and of MULTIGRID's where they change its epochs."""
        solver = cfg.SOLVER
        multigrid = cfg.MULTIGRID
        stages = ShapeSchedule.from_config(cfg).stages
        steps, lrs = solver.STEPS, solver.LRS
        if multigrid.LONG_CYCLE:
            steps, lrs = long_cycle_rates(stages, gamma=solver.GAMMA)
        elif multigrid.SHORT_CYCLE:
            steps = [int(step * multigrid.EPOCH_FACTOR) for step in steps]
        return cls(
            base_lr=solver.BASE_LR,
            max_epoch=stages[-1].until_epoch,
            policy=solver.LR_POLICY,
            warmup_epochs=solver.WARMUP_EPOCHS,
            warmup_start_lr=solver.WARMUP_START_LR,
            end_lr=solver.COSINE_END_LR,
            cosine_after_warmup=solver.COSINE_AFTER_WARMUP,
            steps=tuple(steps),
            lrs=tuple(lrs),
        )

    def __call__(self, epoch: float) -> float:
        if epoch >= self.warmup_epochs:
            return self._policy(epoch)
        target = self._policy(self.warmup_epochs)
        return self.warmup_start_lr + (target - self.warmup_start_lr) * epoch / self.warmup_epochs

    def _policy(self, epoch: float) -> float:
        if self.policy == "steps_with_relative_lrs":
            index = max(i for i, step in enumerate(self.steps) if step <= epoch)
            return self.base_lr * self.lrs[index]
        offset = self.warmup_epochs if self.cosine_after_warmup else 0.0
        progress = (epoch - offset) / (self.max_epoch - offset)
        return self.end_lr + (self.base_lr - self.end_lr) * (math.cos(math.pi * progress) + 1) / 2
