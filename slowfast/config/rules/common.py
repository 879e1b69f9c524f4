"""What rules share: reading a key by its name, and the most common complaints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from fvcore.common.config import CfgNode

from slowfast.utils.suggest import not_one_of


def value_of(cfg: CfgNode, name: str) -> Any:
    """Value of the key with the dotted ``name``."""
    value: Any = cfg
    for part in name.split("."):
        value = value[part]
    return value


def clips_per_video(cfg: CfgNode) -> int:
    """Training clips of each video in a batch."""
    return cfg.DATA.TRAIN_CROP_NUM_TEMPORAL * cfg.DATA.TRAIN_CROP_NUM_SPATIAL * cfg.AUG.NUM_SAMPLE


def at_least(cfg: CfgNode, minimum: float, *names: str) -> Iterator[str]:
    """Keys whose number is below ``minimum`` (or is not a number)."""
    for name in names:
        value = value_of(cfg, name)
        if not value >= minimum:
            yield f"{name}={value}: must be at least {minimum}."


def above(cfg: CfgNode, bound: float, *names: str) -> Iterator[str]:
    """Keys whose number is not above ``bound``."""
    for name in names:
        value = value_of(cfg, name)
        if not value > bound:
            yield f"{name}={value}: must be above {bound}."


def fraction(cfg: CfgNode, *names: str) -> Iterator[str]:
    """Probabilities or shares outside [0, 1]."""
    for name in names:
        value = value_of(cfg, name)
        if not 0 <= value <= 1:
            yield f"{name}={value}: must lie between 0 and 1."


def one_of(cfg: CfgNode, name: str, choices: Iterable[str | int]) -> Iterator[str]:
    """A key whose value is not one of ``choices``."""
    value, choices = value_of(cfg, name), list(choices)
    if value not in choices:
        yield not_one_of(name, value, choices)
