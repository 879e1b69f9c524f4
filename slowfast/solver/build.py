"""Optimizer and learning rate of a config."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from fvcore.common.config import CfgNode
from torch import nn

from slowfast.solver.optimizer import make_optimizer, parameter_groups
from slowfast.solver.schedule import LearningRateSchedule


def build_optimizer(cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
    """The optimizer of the config's SOLVER and BN keys for ``model``.

    Raises:
        ValueError: SOLVER.LAYER_DECAY for a model that does not name its layers.
    """
    layer_decay = cfg.SOLVER.LAYER_DECAY
    groups = parameter_groups(
        model,
        weight_decay=cfg.SOLVER.WEIGHT_DECAY,
        bn_weight_decay=cfg.BN.WEIGHT_DECAY,
        zero_decay_1d=cfg.SOLVER.ZERO_WD_1D_PARAM,
        layer_decay=layer_decay,
        layers=_layers_of(model, layer_decay) if layer_decay != 1 else None,
    )
    return make_optimizer(
        groups,
        name=cfg.SOLVER.OPTIMIZING_METHOD,
        lr=cfg.SOLVER.BASE_LR,
        momentum=cfg.SOLVER.MOMENTUM,
        dampening=cfg.SOLVER.DAMPENING,
        nesterov=cfg.SOLVER.NESTEROV,
        betas=cfg.SOLVER.BETAS,
        lars=cfg.SOLVER.LARS_ON,
        implementation=cfg.SOLVER.IMPLEMENTATION,
    )


def _layers_of(model: Any, layer_decay: float) -> dict[str, int]:
    if not hasattr(model, "layer_numbers"):
        raise ValueError(
            f"SOLVER.LAYER_DECAY={layer_decay}: {type(model).__name__} does not name its layers. Set it to 1.0, or "
            "give the class a method layer_numbers() -> {name of a parameter: number of its layer from the input}."
        )
    return model.layer_numbers()


def build_schedule(cfg: CfgNode, *, factor: float = 1.0) -> LearningRateSchedule:
    """The learning rate schedule of the config's SOLVER keys, with all rates multiplied by ``factor``."""
    schedule = LearningRateSchedule.from_config(cfg)
    rates = {name: factor * getattr(schedule, name) for name in ("base_lr", "warmup_start_lr", "end_lr")}
    return replace(schedule, **rates) if factor != 1.0 else schedule
