"""Checks that every part that a config names can be built, before any data is read and before any job starts.

Only the parts themselves know the names and values that they take. So mistakes are found by building the parts, the
network on the meta device, where this takes neither memory nor time.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch

from slowfast.config import ConfigError
from slowfast.datasets import DATASET_REGISTRY, build_augment
from slowfast.datasets.clips import build_clip_augment
from slowfast.engine.parallel import ParallelOptions
from slowfast.engine.precision import check_dtype_name
from slowfast.engine.tasks import task_of
from slowfast.losses import build_loss
from slowfast.models import build_model
from slowfast.solver import build_optimizer, build_schedule
from slowfast.utils.imports import import_extensions
from slowfast.utils.run_writers import WRITER_REGISTRY

if TYPE_CHECKING:
    from fvcore.common.config import CfgNode


def check_parts(cfg: CfgNode) -> None:
    """Return if all parts of training and test can be built.

    Raises:
        ConfigError: the error of each part, one per line.
    """
    import_extensions(cfg.IMPORTS)
    problems = [problem for part in _parts_of(cfg) if (problem := _problem(part, cfg))]
    if problems:
        raise ConfigError("\n".join(dict.fromkeys(problems)))


def _parts_of(cfg: CfgNode) -> Iterator[Callable[[CfgNode], object]]:
    """Functions that build one part each."""
    yield _model_and_optimizer if cfg.TRAIN.ENABLE else _model
    if cfg.TRAIN.ENABLE:
        yield lambda cfg: DATASET_REGISTRY.get(cfg.TRAIN.DATASET)
        yield build_loss
        yield build_schedule
        yield build_augment
        yield build_clip_augment
        yield ParallelOptions.from_config
    if cfg.TEST.ENABLE:
        yield lambda cfg: DATASET_REGISTRY.get(cfg.TEST.DATASET)
    yield lambda cfg: check_dtype_name(cfg.TRAIN.MIXED_PRECISION_DTYPE)
    yield lambda cfg: [WRITER_REGISTRY.get(name) for name in cfg.LOG_WRITERS]
    yield lambda cfg: task_of(cfg).check_evaluation(cfg)


def _model(cfg: CfgNode) -> torch.nn.Module:
    with torch.device("meta"):
        return build_model(cfg)


def _model_and_optimizer(cfg: CfgNode) -> None:
    build_optimizer(cfg, _model(cfg))


def _problem(part: Callable[[CfgNode], object], cfg: CfgNode) -> str:
    """The error of a part; empty if it can be built.

    A user's network may not support the meta device. An error there does not count: the run builds the network again on
    a real device.
    """
    with _no_warnings():
        try:
            part(cfg)
        except ValueError as error:
            return str(error)
        except Exception:
            return ""
    return ""


@contextlib.contextmanager
def _no_warnings() -> Iterator[None]:
    """Without warnings: the run gives them, into its log."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
