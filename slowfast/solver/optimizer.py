"""Optimizers over parameter groups: batch norm has a weight decay of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from slowfast.utils.suggest import not_one_of

OPTIMIZERS = ("sgd", "adam", "adamw", "mt_adamw")


def parameter_groups(
    model: nn.Module, *, weight_decay: float, bn_weight_decay: float, zero_decay_1d: bool = False
) -> list[dict]:
    """Groups of the trainable parameters, empty ones left out.

    Args:
        bn_weight_decay: for the scales and shifts of every normalisation layer.
        zero_decay_1d: no decay for other one-dimensional parameters (biases).
    """
    norm_types = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm)
    norm_parameters = {
        id(p)
        for module in model.modules()
        if isinstance(module, norm_types) or hasattr(module, "split_bn")
        for p in module.parameters(recurse=False)
    }
    groups: dict[str, dict] = {
        "bn": {"params": [], "weight_decay": bn_weight_decay},
        "other": {"params": [], "weight_decay": weight_decay},
        "1d": {"params": [], "weight_decay": 0.0},
    }
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue
        if id(parameter) in norm_parameters:
            groups["bn"]["params"].append(parameter)
        elif zero_decay_1d and parameter.ndim == 1:
            groups["1d"]["params"].append(parameter)
        else:
            groups["other"]["params"].append(parameter)
    return [group for group in groups.values() if group["params"]]


def make_optimizer(
    groups: list[dict],
    *,
    name: str = "sgd",
    lr: float = 0.1,
    momentum: float = 0.9,
    dampening: float = 0.0,
    nesterov: bool = True,
    betas: Sequence[float] = (0.9, 0.999),
) -> torch.optim.Optimizer:
    """The optimizer called ``name``: "sgd", "adam", "adamw" ("mt_adamw" is adamw).

    Raises:
        ValueError: no optimizer has that name, or its averages cannot be taken so.
    """
    if name == "sgd":
        if nesterov and (momentum == 0 or dampening):
            raise ValueError(
                f"SOLVER.NESTEROV needs momentum and no dampening, got SOLVER.MOMENTUM={momentum} and "
                f"SOLVER.DAMPENING={dampening}. Set SOLVER.NESTEROV to False, or change them."
            )
        return torch.optim.SGD(groups, lr=lr, momentum=momentum, dampening=dampening, nesterov=nesterov)
    if name == "adam":
        return torch.optim.Adam(groups, lr=lr, betas=tuple(betas))
    if name in ("adamw", "mt_adamw"):
        return torch.optim.AdamW(groups, lr=lr, betas=tuple(betas), eps=1e-8)
    raise ValueError(not_one_of("SOLVER.OPTIMIZING_METHOD", name, OPTIMIZERS))
