"""Rules of the optimizer: SOLVER. What a schedule or an optimizer takes, it says itself (solver/)."""

from __future__ import annotations

import math
from collections.abc import Iterator

from fvcore.common.config import CfgNode

from slowfast.config.rules.common import above, at_least


def solver_problems(cfg: CfgNode) -> Iterator[str]:
    """Everything that keeps the optimizer from stepping as asked."""
    solver = cfg.SOLVER
    yield from above(cfg, 0, "SOLVER.BASE_LR", "SOLVER.LAYER_DECAY")
    if not math.isfinite(solver.BASE_LR):
        yield f"SOLVER.BASE_LR={solver.BASE_LR}: must be finite."
    yield from at_least(cfg, 1, "SOLVER.MAX_EPOCH")
    yield from at_least(cfg, 0, "SOLVER.WEIGHT_DECAY", "SOLVER.WARMUP_EPOCHS", "SOLVER.WARMUP_START_LR")
    yield from average_problems(cfg)
    for key in ("CLIP_GRAD_VAL", "CLIP_GRAD_L2NORM"):
        if solver[key] is not None and not solver[key] > 0:
            yield f"SOLVER.{key}={solver[key]}: must be above 0; write null for no limit."
    if solver.CLIP_GRAD_VAL is not None and solver.CLIP_GRAD_L2NORM is not None:
        yield "SOLVER.CLIP_GRAD_VAL and SOLVER.CLIP_GRAD_L2NORM are both set: choose one way of clipping."


def average_problems(cfg: CfgNode) -> Iterator[str]:
    """Rates of decay that are none."""
    solver = cfg.SOLVER
    if not 0 <= solver.MOMENTUM < 1:
        yield f"SOLVER.MOMENTUM={solver.MOMENTUM}: must lie in [0, 1)."
    if len(solver.BETAS) != 2 or not all(0 <= beta < 1 for beta in solver.BETAS):
        yield f"SOLVER.BETAS={solver.BETAS}: expected two numbers in [0, 1)."
