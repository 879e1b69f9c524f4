"""Optimizer and learning rate of a config."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from slowfast.solver.optimizer import make_optimizer, parameter_groups
from slowfast.solver.schedule import LearningRateSchedule

if TYPE_CHECKING:
    from fvcore.common.config import CfgNode


def build_optimizer(cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
    """The optimizer of the config's SOLVER and BN keys for ``model``."""
    groups = parameter_groups(
        model,
        weight_decay=cfg.SOLVER.WEIGHT_DECAY,
        bn_weight_decay=cfg.BN.WEIGHT_DECAY,
        zero_decay_1d=cfg.SOLVER.ZERO_WD_1D_PARAM,
    )
    return make_optimizer(
        groups,
        name=cfg.SOLVER.OPTIMIZING_METHOD,
        lr=cfg.SOLVER.BASE_LR,
        momentum=cfg.SOLVER.MOMENTUM,
        dampening=cfg.SOLVER.DAMPENING,
        nesterov=cfg.SOLVER.NESTEROV,
        betas=cfg.SOLVER.BETAS,
    )


def build_schedule(cfg: CfgNode, *, factor: float = 1.0) -> LearningRateSchedule:
    """The learning rate schedule of the config's SOLVER keys, all its rates multiplied by ``factor``."""
    schedule = LearningRateSchedule.from_config(cfg)
    rates = {name: factor * getattr(schedule, name) for name in ("base_lr", "warmup_start_lr", "end_lr")}
    return replace(schedule, **rates) if factor != 1.0 else schedule
