"""Rules of multigrid training: MULTIGRID, and the keys of SOLVER, SLOWFAST and DETECTION that it affects."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from fvcore.common.config import CfgNode

from slowfast.config.rules.common import above, at_least, value_of
from slowfast.config.rules.model import model_kind


def multigrid_problems(cfg: CfgNode) -> Iterator[str]:
    """Everything that prevents the requested long and short cycle."""
    yield from stage_problems(cfg)
    multigrid = cfg.MULTIGRID
    if not (multigrid.LONG_CYCLE or multigrid.SHORT_CYCLE):
        return
    yield from above(cfg, 0, "MULTIGRID.EPOCH_FACTOR")
    yield from at_least(cfg, 1, "MULTIGRID.BN_BASE_SIZE", "MULTIGRID.EVAL_FREQ")
    if cfg.DETECTION.ENABLE:
        yield "DETECTION.ENABLE with MULTIGRID: boxes are not trained on clips of changing size. Turn one off."
    if int(cfg.SOLVER.MAX_EPOCH * multigrid.EPOCH_FACTOR) < 1:
        yield (
            f"MULTIGRID.EPOCH_FACTOR={multigrid.EPOCH_FACTOR} of SOLVER.MAX_EPOCH={cfg.SOLVER.MAX_EPOCH} leaves no "
            "epoch. Raise one of them."
        )
    if multigrid.SHORT_CYCLE:
        factors = multigrid.SHORT_CYCLE_FACTORS
        if not factors or not all(_is_share(factor) for factor in factors):
            yield f"MULTIGRID.SHORT_CYCLE_FACTORS={factors}: expected shares of the crop size, above 0 and at most 1."
        elif round(min(factors) * cfg.DATA.TRAIN_CROP_SIZE) < 1:
            yield (
                f"MULTIGRID.SHORT_CYCLE_FACTORS={factors} of DATA.TRAIN_CROP_SIZE={cfg.DATA.TRAIN_CROP_SIZE} is less "
                f"than one pixel."
            )
    if multigrid.LONG_CYCLE:
        yield from long_cycle_problems(cfg)


# PySlowFast's notes, written while it trains -> the recipe's setting that each repeats.
_NOTES = {
    "MULTIGRID.DEFAULT_T": "DATA.NUM_FRAMES",
    "MULTIGRID.DEFAULT_S": "DATA.TRAIN_CROP_SIZE",
    "MULTIGRID.LONG_CYCLE_SAMPLING_RATE": "DATA.SAMPLING_RATE",
}


def stage_problems(cfg: CfgNode) -> Iterator[str]:
    """Notes that PySlowFast leaves in the checkpoint of a training stage, whose clips are not the recipe's."""
    for note, setting in _NOTES.items():
        noted, value = value_of(cfg, note), value_of(cfg, setting)
        if noted not in (0, value):
            yield (
                f"{note}={noted}, but {setting}={value}: PySlowFast writes this in a stage of multigrid training, "
                f"whose clips are others than the recipe's. Take the recipe itself, or set {note} 0 to keep {setting}."
            )


def long_cycle_problems(cfg: CfgNode) -> Iterator[str]:
    """A learning rate without steps for stages to lie between, and shapes that the model cannot take."""
    solver = cfg.SOLVER
    yield from above(cfg, 0, "SOLVER.GAMMA")
    if solver.LR_POLICY != "steps_with_relative_lrs":
        yield (
            f"MULTIGRID.LONG_CYCLE with SOLVER.LR_POLICY={solver.LR_POLICY!r}: its stages lie between the steps of "
            "steps_with_relative_lrs. Set that policy and SOLVER.STEPS, or use MULTIGRID.SHORT_CYCLE alone."
        )
    elif len(solver.STEPS) < 2:
        yield f"SOLVER.STEPS={solver.STEPS}: MULTIGRID.LONG_CYCLE needs at least two, e.g. [0, 94, 154, 196]."
    elif any(later <= earlier for earlier, later in itertools.pairwise(solver.STEPS)):
        yield f"SOLVER.STEPS={solver.STEPS}: epochs must rise; the stages of MULTIGRID.LONG_CYCLE lie between them."
    elif solver.STEPS[-1] >= solver.MAX_EPOCH:
        yield (
            f"SOLVER.STEPS={solver.STEPS} leaves no epoch of SOLVER.MAX_EPOCH={solver.MAX_EPOCH} after the last step, "
            "in which MULTIGRID.LONG_CYCLE trains on whole clips."
        )
    factors = cfg.MULTIGRID.LONG_CYCLE_FACTORS
    pairs = [
        pair for pair in factors if isinstance(pair, list | tuple) and len(pair) == 2 and all(map(_is_share, pair))
    ]
    if not factors or len(pairs) < len(factors):
        yield (
            f"MULTIGRID.LONG_CYCLE_FACTORS={factors}: expected pairs of shares (of the frames, of the crop), "
            "above 0 and at most 1."
        )
        return
    for number, (of_frames, of_crop) in enumerate(factors, 1):
        stage = f"stage {number} of MULTIGRID.LONG_CYCLE_FACTORS ({of_frames:g} x {of_crop:g})"
        num_frames, crop_size = round(cfg.DATA.NUM_FRAMES * of_frames), round(cfg.DATA.TRAIN_CROP_SIZE * of_crop)
        if min(num_frames, crop_size) < 1:
            yield f"{stage} has clips of {num_frames} frames and {crop_size} pixels: both must be at least 1."
        alpha, is_slowfast = cfg.SLOWFAST.ALPHA, model_kind(cfg) == "slowfast"
        if is_slowfast and of_frames < 1 <= alpha and num_frames % alpha:  # model.py checks whole clips
            yield (
                f"{stage} has clips of {num_frames} of DATA.NUM_FRAMES={cfg.DATA.NUM_FRAMES} frames, which "
                f"SLOWFAST.ALPHA={alpha} does not divide. Change the factor, or one of these keys."
            )


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and 0 < value <= 1
