"""Rules of training: the optimizer (SOLVER), when the loop saves, what it keeps, how a batch is computed."""

from __future__ import annotations

import math
from collections.abc import Iterator

from fvcore.common.config import CfgNode

from slowfast.config.rules.common import above, at_least, clips_per_video, one_of


def training_problems(cfg: CfgNode) -> Iterator[str]:
    """Everything that prevents the requested training loop."""
    yield from at_least(cfg, 0, "TRAIN.CHECKPOINT_MINUTES", "TRAIN.KEEP_CHECKPOINTS", "TRAIN.EARLY_STOPPING")
    yield from at_least(cfg, 0, "SOLVER.LR_BATCH_SIZE", "TEST.NUM_WRONG_VIDEOS")
    yield from at_least(cfg, 1, "TRAIN.ACCUMULATE")
    yield from above(cfg, 0, "DIST_TIMEOUT")
    yield from one_of(cfg, "BACKEND.CUDNN_BENCHMARK", ("auto", "always", "never"))
    if cfg.BACKEND.DETERMINISTIC and cfg.BACKEND.CUDNN_BENCHMARK == "always":
        yield (
            "BACKEND.DETERMINISTIC and BACKEND.CUDNN_BENCHMARK always contradict each other: timing chooses another "
            'algorithm from run to run. Set BACKEND.CUDNN_BENCHMARK to "auto".'
        )
    if cfg.TRAIN.EARLY_STOPPING > 0 and not cfg.TRAIN.BEST_FIGURE:
        yield (
            f"TRAIN.EARLY_STOPPING={cfg.TRAIN.EARLY_STOPPING} needs the figure that is to get better: set "
            'TRAIN.BEST_FIGURE ("top1", "mAP", ...).'
        )
    if cfg.TRAIN.BEST_FIGURE and cfg.TRAIN.EVAL_PERIOD == 0:
        yield f"TRAIN.BEST_FIGURE={cfg.TRAIN.BEST_FIGURE!r} needs validations: set TRAIN.EVAL_PERIOD above 0."
    if cfg.MODEL.FP16_ALLREDUCE and cfg.TRAIN.DDP.COMPRESSION == "bfloat16":
        yield "MODEL.FP16_ALLREDUCE and TRAIN.DDP.COMPRESSION bfloat16 contradict each other: set one of them."
    if not 0 <= cfg.TRAIN.EMA_DECAY < 1:
        yield f"TRAIN.EMA_DECAY={cfg.TRAIN.EMA_DECAY}: must be at least 0 and below 1, as 0.9999."
    if cfg.TEST.EMA and cfg.TRAIN.ENABLE and not cfg.TRAIN.EMA_DECAY:
        yield "TEST.EMA without TRAIN.EMA_DECAY: the training would leave no average to test. Set it, as to 0.9999."
    if cfg.TRAIN.BALANCE_CLASSES and (cfg.DATA.MULTI_LABEL or cfg.DETECTION.ENABLE):
        yield (
            "TRAIN.BALANCE_CLASSES goes by the one label of a video, and here are several. Turn it off; "
            "LOSS.CLASS_WEIGHTS weighs their decisions."
        )
    if cfg.TRAIN.ENABLE:
        yield from _accumulation_problems(cfg)


def _accumulation_problems(cfg: CfgNode) -> Iterator[str]:
    """Parts into which the clips of a process cannot be divided equally."""
    parts, num_clips = cfg.TRAIN.ACCUMULATE, cfg.TRAIN.BATCH_SIZE // max(1, cfg.NUM_GPUS) * clips_per_video(cfg)
    if parts > 1 and num_clips % parts:
        fitting = [str(n) for n in range(1, num_clips + 1) if num_clips % n == 0]
        yield (
            f"TRAIN.ACCUMULATE={parts} does not divide the {num_clips} clips that a process has of a step "
            f"(TRAIN.BATCH_SIZE / NUM_GPUS). It may be {', '.join(fitting)}."
        )


def solver_problems(cfg: CfgNode) -> Iterator[str]:
    """Everything that prevents the requested steps; schedules and optimizers check their own arguments."""
    solver = cfg.SOLVER
    yield from above(cfg, 0, "SOLVER.BASE_LR", "SOLVER.LAYER_DECAY")
    if not math.isfinite(solver.BASE_LR):
        yield f"SOLVER.BASE_LR={solver.BASE_LR}: must be finite."
    yield from at_least(cfg, 1, "SOLVER.MAX_EPOCH")
    yield from at_least(cfg, 0, "SOLVER.WEIGHT_DECAY", "SOLVER.WARMUP_EPOCHS", "SOLVER.WARMUP_START_LR")
    if not 0 <= solver.MOMENTUM < 1:
        yield f"SOLVER.MOMENTUM={solver.MOMENTUM}: must lie in [0, 1)."
    if len(solver.BETAS) != 2 or not all(0 <= beta < 1 for beta in solver.BETAS):
        yield f"SOLVER.BETAS={solver.BETAS}: expected two numbers in [0, 1)."
    for key in ("CLIP_GRAD_VAL", "CLIP_GRAD_L2NORM"):
        if solver[key] is not None and not solver[key] > 0:
            yield f"SOLVER.{key}={solver[key]}: must be above 0; write null for no limit."
    if solver.CLIP_GRAD_VAL is not None and solver.CLIP_GRAD_L2NORM is not None:
        yield "SOLVER.CLIP_GRAD_VAL and SOLVER.CLIP_GRAD_L2NORM are both set: choose one way of clipping."
