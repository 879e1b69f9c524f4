"""Learning rate as a pure function of the fractional epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from slowfast.solver.multigrid import ShapeSchedule, long_cycle_rates
from slowfast.utils.suggest import check_choice

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
        steps: epochs, not descending, the first 0.
        lrs: factors, at least one per step.
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
        check_choice("SOLVER.LR_POLICY", self.policy, POLICIES)
        if self.policy == "steps_with_relative_lrs":
            self._check_steps()
        else:
            self._check_cosine()

    def _check_steps(self) -> None:
        steps, lrs = list(self.steps), list(self.lrs)
        if not all(isinstance(number, int | float) for number in (*steps, *lrs)):
            raise ValueError(f"SOLVER.STEPS={steps}, SOLVER.LRS={lrs}: expected two lists of numbers.")
        if not steps or steps[0] != 0:
            raise ValueError(f"SOLVER.STEPS={steps}: the first step must begin at epoch 0, e.g. [0, 94, 154, 196].")
        if steps != sorted(steps):
            raise ValueError(f"SOLVER.STEPS={steps}: epochs must rise.")
        if len(lrs) < len(steps):
            raise ValueError(
                f"SOLVER.LRS={lrs} has {len(lrs)} entries for the {len(steps)} of SOLVER.STEPS={steps}: every step "
                "needs its rate, relative to SOLVER.BASE_LR."
            )

    def _check_cosine(self) -> None:
        if not 0 <= self.end_lr < self.base_lr:
            raise ValueError(
                f"SOLVER.COSINE_END_LR={self.end_lr}: must lie between 0 and SOLVER.BASE_LR={self.base_lr}, because "
                f"the cosine falls."
            )
        if self.cosine_after_warmup and self.warmup_epochs >= self.max_epoch:
            raise ValueError(
                f"SOLVER.COSINE_AFTER_WARMUP with SOLVER.WARMUP_EPOCHS={self.warmup_epochs} leaves no epoch of "
                f"SOLVER.MAX_EPOCH={self.max_epoch} for the cosine."
            )

    @classmethod
    def from_config(cls, cfg) -> LearningRateSchedule:
        """The schedule of the config's SOLVER keys, and of its MULTIGRID keys if they change the epochs."""
        solver = cfg.SOLVER
        multigrid = cfg.MULTIGRID
        stages = ShapeSchedule.from_config(cfg).stages
        steps, lrs = solver.STEPS, solver.LRS
        if solver.LR_POLICY == "steps_with_relative_lrs" and len(set(steps)) < len(steps):  # rounding may join them
            raise ValueError(f"SOLVER.STEPS={steps}: epochs must rise.")
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
