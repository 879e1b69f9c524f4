"""Rules of the optimiser and its schedule: SOLVER."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from fvcore.common.config import CfgNode

from slowfast.config.rules.common import above, at_least, one_of


def solver_problems(cfg: CfgNode) -> Iterator[str]:
    """Everything that keeps the optimiser from stepping as asked."""
    solver = cfg.SOLVER
    yield from one_of(cfg, "SOLVER.OPTIMIZING_METHOD", ("sgd", "adam", "adamw", "mt_adamw"))
    yield from one_of(cfg, "SOLVER.LR_POLICY", ("cosine", "steps_with_relative_lrs"))
    yield from above(cfg, 0, "SOLVER.BASE_LR", "SOLVER.LAYER_DECAY")
    if not math.isfinite(solver.BASE_LR):
        yield f"SOLVER.BASE_LR={solver.BASE_LR}: must be finite."
    yield from at_least(cfg, 1, "SOLVER.MAX_EPOCH")
    yield from at_least(cfg, 0, "SOLVER.WEIGHT_DECAY", "SOLVER.WARMUP_EPOCHS", "SOLVER.WARMUP_START_LR")
    yield from schedule_problems(cfg)
    yield from momentum_problems(cfg)
    for key in ("CLIP_GRAD_VAL", "CLIP_GRAD_L2NORM"):
        if solver[key] is not None and not solver[key] > 0:
            yield f"SOLVER.{key}={solver[key]}: must be above 0; write null for no limit."
    if solver.CLIP_GRAD_VAL is not None and solver.CLIP_GRAD_L2NORM is not None:
        yield "SOLVER.CLIP_GRAD_VAL and SOLVER.CLIP_GRAD_L2NORM are both set: choose one way of clipping."


def schedule_problems(cfg: CfgNode) -> Iterator[str]:
    """Steps and their rates, or the cosine, whichever the policy uses."""
    solver = cfg.SOLVER
    if solver.LR_POLICY == "cosine":
        yield from cosine_problems(cfg)
    if solver.LR_POLICY == "steps_with_relative_lrs":
        yield from step_problems(solver.STEPS, solver.LRS)


def cosine_problems(cfg: CfgNode) -> Iterator[str]:
    """A cosine that rises, or that has no epochs."""
    solver = cfg.SOLVER
    if not 0 <= solver.COSINE_END_LR < solver.BASE_LR:
        yield (
            f"SOLVER.COSINE_END_LR={solver.COSINE_END_LR}: must lie between 0 and "
            f"SOLVER.BASE_LR={solver.BASE_LR}, the cosine falls."
        )
    if solver.COSINE_AFTER_WARMUP and solver.WARMUP_EPOCHS >= solver.MAX_EPOCH:
        yield (
            f"SOLVER.COSINE_AFTER_WARMUP with SOLVER.WARMUP_EPOCHS={solver.WARMUP_EPOCHS} leaves no epoch of "
            f"SOLVER.MAX_EPOCH={solver.MAX_EPOCH} for the cosine."
        )


def step_problems(steps: list, rates: list) -> Iterator[str]:
    """Steps without a rate, out of order, or not from the start. Recipes have more rates than steps."""
    if not all(isinstance(number, int | float) for number in (*steps, *rates)):
        yield f"SOLVER.STEPS={steps}, SOLVER.LRS={rates}: expected two lists of numbers."
        return
    if not steps or steps[0] != 0:
        yield f"SOLVER.STEPS={steps}: the first step must begin at epoch 0, e.g. [0, 94, 154, 196]."
    if any(later <= earlier for earlier, later in itertools.pairwise(steps)):
        yield f"SOLVER.STEPS={steps}: epochs must rise."
    if len(rates) < len(steps):
        yield (
            f"SOLVER.LRS={rates} has {len(rates)} entries for the {len(steps)} of SOLVER.STEPS={steps}: "
            "every step needs its rate, relative to SOLVER.BASE_LR."
        )


def momentum_problems(cfg: CfgNode) -> Iterator[str]:
    """Averages that the optimisers refuse."""
    solver = cfg.SOLVER
    if not 0 <= solver.MOMENTUM < 1:
        yield f"SOLVER.MOMENTUM={solver.MOMENTUM}: must lie in [0, 1)."
    if solver.OPTIMIZING_METHOD == "sgd" and solver.NESTEROV and (solver.MOMENTUM == 0 or solver.DAMPENING):
        yield (
            f"SOLVER.NESTEROV needs momentum and no dampening, got SOLVER.MOMENTUM={solver.MOMENTUM} and "
            f"SOLVER.DAMPENING={solver.DAMPENING}. Set SOLVER.NESTEROV to False, or change them."
        )
    if len(solver.BETAS) != 2 or not all(0 <= beta < 1 for beta in solver.BETAS):
        yield f"SOLVER.BETAS={solver.BETAS}: expected two numbers in [0, 1)."
